use std::collections::BTreeSet;
use std::fmt;

use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Class, Decode, Tagged};

use crate::codec::Writer;
use crate::identity::Credential;

use super::certificate::Certificate;
use super::{X509Error, X509Fault};

/// The names that an end entity's certificate gives its owner: RFC 9420's *presented identifiers*
/// (section 5.3). Which of them an application looks for is up to it.
#[derive(Clone, PartialEq, Eq)]
pub struct X509Names {
    subject: Vec<u8>,
    alternative: BTreeSet<Vec<u8>>,
}

impl X509Names {
    /// The names in the first certificate of a credential. **Nothing is verified**:
    /// [`X509Validator::check`](super::X509Validator::check) gives those of a valid one. The
    /// credentials of a group's members were accepted when they came.
    ///
    /// # Errors
    /// The credential is of another type, or its first certificate can't be read.
    pub fn presented(credential: &Credential) -> Result<Self, X509Error> {
        let Credential::X509(chain) = credential else {
            return Err(X509Error::new(0, X509Fault::OtherCredential));
        };
        let first = chain.first().ok_or(X509Error::new(0, X509Fault::EmptyChain))?;
        let certificate = Certificate::read(first).map_err(|fault| X509Error::new(0, fault))?;
        Ok(Self::of(&certificate))
    }

    pub(super) fn of(certificate: &Certificate<'_>) -> Self {
        Self {
            subject: certificate.subject.clone(),
            alternative: certificate.extensions.alternative_names.clone(),
        }
    }

    /// The same for the same names and for no others; `None` if they are too long to encode.
    pub(super) fn key(&self) -> Option<Vec<u8>> {
        let mut writer = Writer::new();
        writer.opaque(&self.subject);
        self.alternative.iter().for_each(|name| writer.opaque(name));
        writer.finish().ok()
    }

    /// The subject's distinguished name in DER form; it may be an empty sequence.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The alternative names, each a GeneralName in DER form (RFC 5280 section 4.2.1.6).
    pub fn alternative(&self) -> impl Iterator<Item = &[u8]> {
        self.alternative.iter().map(Vec::as_slice)
    }

    /// The domain names among the alternative names, as they are there: any case, and possibly with
    /// wildcards.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.texts(2)
    }

    /// The e-mail addresses among the alternative names.
    pub fn emails(&self) -> impl Iterator<Item = &str> {
        self.texts(1)
    }

    /// The URIs among the alternative names.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.texts(6)
    }

    /// The alternative names of the kind with this tag, which is one of text. Those that are not
    /// ASCII, as they have to be, are left out.
    fn texts(&self, kind: u32) -> impl Iterator<Item = &str> {
        self.alternative.iter().filter_map(move |name| {
            let name = AnyRef::from_der(name).ok()?;
            let tag = name.tag();
            if tag.class() != Class::ContextSpecific || tag.number().value() != kind {
                return None;
            }
            std::str::from_utf8(name.value()).ok().filter(|text| text.is_ascii())
        })
    }
}

impl fmt::Debug for X509Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.alternative.len();
        write!(f, "X509Names(subject of {} bytes, {others} alternative)", self.subject.len())
    }
}
