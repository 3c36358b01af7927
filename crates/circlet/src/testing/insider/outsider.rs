use std::sync::Arc;

use crate::codec::Writer;
use crate::crypto::Suite;
use crate::error::Error;
use crate::identity::{Credential, Signer, SigningKey};
use crate::message::{Content, GroupContext, Proposal, Sender};
use crate::testing::SeededRng;
use crate::tree::{Extension, ExtensionType, ExternalSender};

use super::frame::Frame;

/// Somebody with a signature key who is no member: an external sender, or one who wants to be a
/// member. It signs anything, and knows of the group what its GroupContext says.
#[derive(Debug)]
pub struct Outsider {
    /// The cipher suite over its provider.
    pub suite: Suite,
    /// Its signature key.
    pub signer: SigningKey,
    /// Who it is.
    pub credential: Credential,
    rng: SeededRng,
}

impl Outsider {
    /// An outsider with a fresh key.
    ///
    /// # Errors
    /// No signature key could be made.
    pub fn new(suite: &Suite, name: &str, seed: u64) -> Result<Self, Error> {
        let mut rng = SeededRng::new(seed);
        let signer = SigningKey::generate(suite, &mut rng)?;
        Ok(Self { suite: suite.clone(), signer, credential: Credential::basic(name), rng })
    }

    /// Its entry in an external_senders extension.
    #[must_use]
    pub fn entry(&self) -> ExternalSender {
        let signature_key = self.signer.public_key().clone();
        ExternalSender { signature_key, credential: self.credential.clone() }
    }

    /// A message with any content and sender, signed with its key. Only a PublicMessage can be made
    /// of it.
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn content<'a>(
        &mut self,
        context: &GroupContext,
        sender: Sender,
        content: Content,
    ) -> Result<Frame<'a>, Error> {
        let (suite, signer) = (self.suite.clone(), Arc::new(self.signer.clone()));
        Frame::new(suite, context, None, signer, self.rng.fork()?, (sender, content))
    }

    /// A proposal of the external sender with this index (section 12.1.8).
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn external_proposal<'a>(
        &mut self,
        context: &GroupContext,
        index: u32,
        proposal: Proposal,
    ) -> Result<Frame<'a>, Error> {
        self.content(context, Sender::External(index), Content::Proposal(proposal))
    }

    /// A proposal of somebody who wants to be a member (section 12.1.8).
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn new_member_proposal<'a>(
        &mut self,
        context: &GroupContext,
        proposal: Proposal,
    ) -> Result<Frame<'a>, Error> {
        self.content(context, Sender::NewMemberProposal, Content::Proposal(proposal))
    }
}

/// The external_senders extension (section 12.1.8.1).
///
/// # Errors
/// The list is too long to encode.
pub fn external_senders(senders: &[ExternalSender]) -> Result<Extension, Error> {
    let mut writer = Writer::new();
    writer.vector(senders);
    let data = writer.finish()?;
    Ok(Extension { extension_type: ExtensionType::EXTERNAL_SENDERS, data })
}
