use std::collections::BTreeSet;
use std::fmt;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::SignaturePublicKey;
use crate::identity::{Credential, CredentialType};
use crate::mutation::off;

/// An extension type's code point (RFC 9420 section 17.3). Unknown values are kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionType(pub u16);

impl ExtensionType {
    /// Names a member to the application (section 5.3.3).
    pub const APPLICATION_ID: Self = Self(1);
    /// The ratchet tree, in a GroupInfo (section 12.4.3.3).
    pub const RATCHET_TREE: Self = Self(2);
    /// What every member must support, in a GroupContext (section 11.1).
    pub const REQUIRED_CAPABILITIES: Self = Self(3);
    /// The key for external joins, in a GroupInfo (section 12.4.3.2).
    pub const EXTERNAL_PUB: Self = Self(4);
    /// Who may propose from outside, in a GroupContext (section 12.1.8.1).
    pub const EXTERNAL_SENDERS: Self = Self(5);

    /// Marks a KeyPackage that may be used more than once (section 16.8), with empty data: the
    /// last_resort of the registry of section 17.3.
    pub const LAST_RESORT: Self = Self(10);

    /// Whether every implementation of RFC 9420 has it, so that capabilities don't list it
    /// (section 7.2).
    #[must_use]
    pub fn is_default(self) -> bool {
        (1..=5).contains(&self.0)
    }
}

/// A proposal type's code point (RFC 9420 section 17.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalType(pub u16);

impl ProposalType {
    /// Add (section 12.1.1).
    pub const ADD: Self = Self(1);
    /// Update (section 12.1.2).
    pub const UPDATE: Self = Self(2);
    /// Remove (section 12.1.3).
    pub const REMOVE: Self = Self(3);
    /// PreSharedKey (section 12.1.4).
    pub const PSK: Self = Self(4);
    /// ReInit (section 12.1.5).
    pub const REINIT: Self = Self(5);
    /// ExternalInit (section 12.1.6).
    pub const EXTERNAL_INIT: Self = Self(6);
    /// GroupContextExtensions (section 12.1.7).
    pub const GROUP_CONTEXT_EXTENSIONS: Self = Self(7);

    /// Whether every implementation of RFC 9420 has it, so that capabilities don't list it
    /// (section 7.2).
    #[must_use]
    pub fn is_default(self) -> bool {
        (1..=7).contains(&self.0)
    }
}

/// One extension: its content is read by whoever knows the type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Extension {
    /// The type.
    pub extension_type: ExtensionType,
    /// `extension_data`.
    pub data: Vec<u8>,
}

impl Extension {
    /// The application_id of a leaf (section 5.3.3): names a member to the application, which must
    /// not take it for proof of anything.
    ///
    /// # Errors
    /// It is longer than can be encoded.
    pub fn application_id(id: impl AsRef<[u8]>) -> Result<Self, EncodeError> {
        let data = id.as_ref().to_vec().to_bytes()?;
        Ok(Self { extension_type: ExtensionType::APPLICATION_ID, data })
    }
}

/// A list of extensions, in the order of the wire, no type twice (RFC 9420 section 13.4).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Extensions(Vec<Extension>);

impl Extensions {
    /// No extension.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These as they are, a type twice or not.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn unchecked(list: Vec<Extension>) -> Self {
        Self(list)
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Extension> {
        self.0.iter()
    }

    /// The data of the extension of this type.
    #[must_use]
    pub fn find(&self, extension_type: ExtensionType) -> Option<&[u8]> {
        let found = self.0.iter().find(|extension| extension.extension_type == extension_type)?;
        Some(&found.data)
    }

    /// Puts an extension at the end, or in the place of the one of its type.
    pub fn set(&mut self, extension: Extension) {
        let same = |held: &&mut Extension| held.extension_type == extension.extension_type;
        match self.0.iter_mut().find(same) {
            Some(held) => *held = extension,
            None => self.0.push(extension),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The required_capabilities extension (section 11.1), if there is one: each type once, in
    /// ascending order.
    ///
    /// # Errors
    /// Its data is malformed.
    pub fn required_capabilities(
        &self,
        context: &DecodeContext,
    ) -> Result<Option<RequiredCapabilities>, DecodeError> {
        match self.read(ExtensionType::REQUIRED_CAPABILITIES, context) {
            Err(_) if off("V-11.1-03") => Ok(None),
            read => Ok(read?.map(RequiredCapabilities::distinct)),
        }
    }

    /// The external_senders extension (section 12.1.8.1), if there is one.
    ///
    /// # Errors
    /// Its data is malformed.
    pub fn external_senders(
        &self,
        context: &DecodeContext,
    ) -> Result<Option<Vec<ExternalSender>>, DecodeError> {
        let senders = self.read::<ExternalSenders>(ExtensionType::EXTERNAL_SENDERS, context)?;
        Ok(senders.map(|senders| senders.0))
    }

    fn read<T: Decode>(
        &self,
        extension_type: ExtensionType,
        context: &DecodeContext,
    ) -> Result<Option<T>, DecodeError> {
        self.find(extension_type).map(|data| T::from_bytes(data, context)).transpose()
    }
}

impl FromIterator<Extension> for Extensions {
    /// A later extension takes the place of an earlier one of its type.
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        let mut list = Self::new();
        for extension in extensions {
            list.set(extension);
        }
        list
    }
}

/// The required_capabilities extension: what every member must support (RFC 9420 section 11.1).
///
/// ```
/// use circlet::client::GroupOptions;
/// use circlet::tree::{ExtensionType, Extensions, RequiredCapabilities};
/// use circlet::Client;
///
/// # fn main() -> Result<(), circlet::Error> {
/// let receipts = ExtensionType(0xf001);
/// let alice = Client::builder("alice").register_extension_type(receipts).build()?;
/// let required = RequiredCapabilities {
///     extension_types: vec![receipts],
///     ..RequiredCapabilities::default()
/// };
/// let extensions = Extensions::from_iter([required.to_extension()?]);
/// let group =
///     alice.create_group_with(GroupOptions { extensions, ..GroupOptions::default() })?;
///
/// let bob = Client::builder("bob").build()?; // does not know it
/// assert!(group.invite([bob.key_package()?]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredCapabilities {
    /// Extension types; default ones count as supported.
    pub extension_types: Vec<ExtensionType>,
    /// Proposal types; default ones count as supported.
    pub proposal_types: Vec<ProposalType>,
    /// Credential types.
    pub credential_types: Vec<CredentialType>,
}

impl RequiredCapabilities {
    /// As an extension of a group.
    ///
    /// # Errors
    /// It is longer than can be encoded.
    pub fn to_extension(&self) -> Result<Extension, EncodeError> {
        let extension_type = ExtensionType::REQUIRED_CAPABILITIES;
        Ok(Extension { extension_type, data: self.to_bytes()? })
    }

    /// Each type once: every leaf is held against all of them.
    fn distinct(mut self) -> Self {
        self.extension_types.sort_unstable();
        self.extension_types.dedup();
        self.proposal_types.sort_unstable();
        self.proposal_types.dedup();
        self.credential_types.sort_unstable();
        self.credential_types.dedup();
        self
    }
}

/// One entry of the external_senders extension (RFC 9420 section 12.1.8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalSender {
    /// Verifies its proposals.
    pub signature_key: SignaturePublicKey,
    /// Who it is.
    pub credential: Credential,
}

impl ExternalSender {
    /// All who may propose from outside, as an extension of a group.
    ///
    /// # Errors
    /// It is longer than can be encoded.
    pub fn to_extension(senders: &[Self]) -> Result<Extension, EncodeError> {
        let mut writer = Writer::new();
        writer.vector(senders);
        let extension_type = ExtensionType::EXTERNAL_SENDERS;
        Ok(Extension { extension_type, data: writer.finish()? })
    }
}

struct ExternalSenders(Vec<ExternalSender>);

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extension({:#06x}, {} bytes)", self.extension_type.0, self.data.len())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl Encode for ExtensionType {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
}

impl Decode for ExtensionType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16().map(Self)
    }
}

impl Encode for ProposalType {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
}

impl Decode for ProposalType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16().map(Self)
    }
}

impl Encode for Extension {
    fn encode(&self, writer: &mut Writer) {
        self.extension_type.encode(writer);
        writer.opaque(&self.data);
    }
}

impl Decode for Extension {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { extension_type: ExtensionType::decode(reader)?, data: reader.opaque()?.to_vec() })
    }
}

impl Encode for Extensions {
    fn encode(&self, writer: &mut Writer) {
        writer.vector(&self.0);
    }
}

impl Decode for Extensions {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode_with(reader, tolerates_repeated)
    }
}

impl Extensions {
    /// V-7.3-15: in a leaf, too, no type is there twice.
    pub(super) fn decode_in_leaf(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode_with(reader, |extension| off("V-7.3-15") || tolerates_repeated(extension))
    }

    fn decode_with(
        reader: &mut Reader<'_>,
        tolerates_repeated: impl Fn(&Extension) -> bool,
    ) -> Result<Self, DecodeError> {
        let mut seen = BTreeSet::new();
        let limit = reader.limits().extensions;
        let list = reader.vector_with(limit, "extensions", |reader| {
            let extension = Extension::decode(reader)?;
            match seen.insert(extension.extension_type) || tolerates_repeated(&extension) {
                true => Ok(extension),
                false => Err(DecodeError::DuplicateExtension(extension.extension_type.0)),
            }
        })?;
        Ok(Self(list))
    }
}

/// V-13.0-06 and, of required_capabilities, V-11.1-03: no type is there twice, unless the rule is
/// switched off.
fn tolerates_repeated(extension: &Extension) -> bool {
    let required = extension.extension_type == ExtensionType::REQUIRED_CAPABILITIES;
    off("V-13.0-06") || required && off("V-11.1-03")
}

impl Encode for RequiredCapabilities {
    fn encode(&self, writer: &mut Writer) {
        writer.vector(&self.extension_types);
        writer.vector(&self.proposal_types);
        writer.vector(&self.credential_types);
    }
}

impl Decode for RequiredCapabilities {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            extension_types: reader.vector()?,
            proposal_types: reader.vector()?,
            credential_types: reader.vector()?,
        })
    }
}

impl Encode for ExternalSender {
    fn encode(&self, writer: &mut Writer) {
        self.signature_key.encode(writer);
        self.credential.encode(writer);
    }
}

impl Decode for ExternalSender {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            signature_key: SignaturePublicKey::decode(reader)?,
            credential: Credential::decode(reader)?,
        })
    }
}

impl Decode for ExternalSenders {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.vector().map(Self)
    }
}
