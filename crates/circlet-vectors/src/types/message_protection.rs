use circlet::Error;
use circlet::codec::{Decode, Encode};
use circlet::crypto::{CipherSuite, Mac, Rng, Secret, SignaturePrivateKey, SignaturePublicKey};
use circlet::group::{Framing, HandshakeFormat, Padding, Settings};
use circlet::hazmat::protection::{Endpoint, Epoch};
use circlet::identity::{Signer, SigningKey};
use circlet::message::{
    AuthenticatedContent, Commit, Content, ContentType, FramedContent, FramedContentAuthData,
    GroupContext, GroupId, MlsMessage, Proposal, ProposalOrRef, PublicMessage, Sender, WireFormat,
};
use circlet::rules::Violation;
use circlet::tree::{Extensions, LeafIndex};
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, expect_equal, random};
use crate::seeded::SeededRng;

/// Signing, tagging and encrypting messages (RFC 9420 sections 6.1 to 6.3).
pub(crate) struct MessageProtection;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    group_id: Hex,
    epoch: u64,
    tree_hash: Hex,
    confirmed_transcript_hash: Hex,
    signature_priv: Hex,
    signature_pub: Hex,
    encryption_secret: Hex,
    sender_data_secret: Hex,
    membership_key: Hex,
    proposal: Hex,
    proposal_priv: Hex,
    proposal_pub: Hex,
    commit: Hex,
    commit_priv: Hex,
    commit_pub: Hex,
    application: Hex,
    application_priv: Hex,
}

/// In all vectors the member at leaf 1 of a group of two sends.
const RECEIVER: LeafIndex = LeafIndex(0);
const SENDER: LeafIndex = LeafIndex(1);

impl VectorType for MessageProtection {
    const NAME: &'static str = "message-protection";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let check = Check::new(case, env)?;
        let proposal = Proposal::from_bytes(&case.proposal, &env.context).at("proposal")?;
        expect_bytes("proposal", proposal.to_bytes()?, &case.proposal)?;
        let commit = Commit::from_bytes(&case.commit, &env.context).at("commit")?;
        expect_bytes("commit", commit.to_bytes()?, &case.commit)?;
        let (proposal, commit) = (Content::Proposal(proposal), Content::Commit(commit));
        let application = Content::Application(case.application.to_vec());

        use WireFormat::{PrivateMessage, PublicMessage};
        for (field, given, wire_format, content) in [
            ("proposal_pub", &case.proposal_pub, PublicMessage, &proposal),
            ("proposal_priv", &case.proposal_priv, PrivateMessage, &proposal),
            ("commit_pub", &case.commit_pub, PublicMessage, &commit),
            ("commit_priv", &case.commit_priv, PrivateMessage, &commit),
            ("application_priv", &case.application_priv, PrivateMessage, &application),
        ] {
            check.unprotect(given, wire_format, content).at(field)?;
            check.both_ways(wire_format, content).at(field)?;
        }
        check.forged_tag(&proposal).at("proposal")?;
        check.forged_signature(&proposal).at("proposal")?;
        check.public_application(&application).at("application")
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        env.suites().into_iter().map(|suite| generate(suite, env, rng)).collect()
    }
}

fn generate(cipher_suite: u16, env: &Env, rng: &mut dyn Rng) -> Result<Case, Failure> {
    let suite = env.suite(cipher_suite)?;
    let (length, hash_length) = (suite.secret_length(), suite.spec().hash.length);
    let signer = SigningKey::generate(&suite, rng)?;
    let proposal = Proposal::Remove(LeafIndex(0));
    let commit =
        Commit { proposals: vec![ProposalOrRef::Proposal(Box::new(proposal.clone()))], path: None };
    let mut case = Case {
        cipher_suite,
        group_id: random(rng, 32)?,
        epoch: 0x0012_1212,
        tree_hash: random(rng, hash_length)?,
        confirmed_transcript_hash: random(rng, hash_length)?,
        signature_priv: Hex::from(signer.private_key().secret()),
        signature_pub: signer.public_key().as_bytes().into(),
        encryption_secret: random(rng, length)?,
        sender_data_secret: random(rng, length)?,
        membership_key: random(rng, length)?,
        proposal: proposal.to_bytes()?.into(),
        commit: commit.to_bytes()?.into(),
        application: random(rng, 42)?,
        ..Case::default()
    };
    let (proposal, commit) = (Content::Proposal(proposal), Content::Commit(commit));
    let application = Content::Application(case.application.to_vec());
    let check = Check::new(&case, env)?;
    let mut protect = |wire_format, content: &Content| -> Result<Hex, Failure> {
        Ok(check.protect(wire_format, content, &[], rng)?.to_bytes()?.into())
    };
    let proposal_pub = protect(WireFormat::PublicMessage, &proposal)?;
    let proposal_priv = protect(WireFormat::PrivateMessage, &proposal)?;
    let commit_pub = protect(WireFormat::PublicMessage, &commit)?;
    let commit_priv = protect(WireFormat::PrivateMessage, &commit)?;
    let application_priv = protect(WireFormat::PrivateMessage, &application)?;
    case = Case { proposal_pub, proposal_priv, commit_pub, commit_priv, application_priv, ..case };
    Ok(case)
}

/// A case's two members.
struct Check<'a> {
    env: &'a Env,
    settings: Settings,
    context: GroupContext,
    membership_key: Secret,
    signer: SigningKey,
    sender: Endpoint,
    receiver: Endpoint,
}

impl<'a> Check<'a> {
    fn new(case: &Case, env: &'a Env) -> Result<Self, Failure> {
        let settings = env.settings(case.cipher_suite)?;
        let private = SignaturePrivateKey::new(Secret::new(&case.signature_priv));
        let signer = SigningKey::from_private(&settings.suite, &private).at("signature_priv")?;
        expect_bytes("signature_pub", signer.public_key(), &case.signature_pub)?;
        let context = GroupContext {
            cipher_suite: CipherSuite(case.cipher_suite),
            group_id: GroupId::new(&case.group_id),
            epoch: case.epoch,
            tree_hash: case.tree_hash.to_vec(),
            confirmed_transcript_hash: case.confirmed_transcript_hash.to_vec(),
            extensions: Extensions::new(),
        };
        let epoch = Epoch {
            context: context.clone(),
            // The receiver's own key must not matter: it is none.
            signature_keys: vec![
                SignaturePublicKey::new(&[]),
                SignaturePublicKey::new(&case.signature_pub),
            ],
            encryption_secret: Secret::new(&case.encryption_secret),
            sender_data_secret: Secret::new(&case.sender_data_secret),
            membership_key: Secret::new(&case.membership_key),
        };
        Ok(Self {
            env,
            context,
            membership_key: epoch.membership_key.clone(),
            signer,
            sender: Endpoint::new(settings.clone(), epoch.clone(), SENDER)?,
            receiver: Endpoint::new(settings.clone(), epoch, RECEIVER)?,
            settings,
        })
    }

    /// A message of the file holds what the file says.
    fn unprotect(
        &self,
        message: &[u8],
        wire_format: WireFormat,
        content: &Content,
    ) -> Result<(), Failure> {
        let decoded = MlsMessage::read(message, &self.env.context)?;
        expect_bytes("encoding", decoded.to_bytes()?, message)?;
        expect_equal("wire_format", &decoded.wire_format(), &wire_format)?;
        expect_equal("content", &self.receive(decoded)?.content.content, content)
    }

    /// What we protect, with data to authenticate, can be unprotected.
    fn both_ways(&self, wire_format: WireFormat, content: &Content) -> Result<(), Failure> {
        let authenticated_data = b"authenticated";
        let mut rng = SeededRng::new(self.env.provider.clone(), 0, "message-protection check");
        let message = self.protect(wire_format, content, authenticated_data, &mut rng)?;
        expect_equal("wire_format", &message.wire_format(), &wire_format)?;
        let message = MlsMessage::read(&message.to_bytes()?, &self.env.context)?;
        let received = self.receive(message)?.content;
        expect_equal("sender", &received.sender, &Sender::Member(SENDER))?;
        expect_bytes("authenticated_data", received.authenticated_data, authenticated_data)?;
        expect_equal("content", &received.content, content)
    }

    fn receive(&self, message: MlsMessage) -> Result<AuthenticatedContent, Failure> {
        self.receiver.unprotect(message)?.ok_or_else(|| Failure::mismatch("sender"))
    }

    fn protect(
        &self,
        wire_format: WireFormat,
        content: &Content,
        authenticated_data: &[u8],
        rng: &mut dyn Rng,
    ) -> Result<MlsMessage, Failure> {
        let framing = Framing {
            authenticated_data: authenticated_data.to_vec(),
            padding: Padding::Multiple(32),
            handshake: match wire_format {
                WireFormat::PublicMessage => HandshakeFormat::Public,
                _ => HandshakeFormat::Private,
            },
        };
        let tag = self.confirmation_tag(content);
        Ok(self.sender.protect(content.clone(), tag, &framing, &self.signer, rng)?)
    }

    /// Any will do, since the vectors have no confirmation key.
    fn confirmation_tag(&self, content: &Content) -> Option<Mac> {
        let length = self.settings.suite.spec().hash.length;
        (content.content_type() == ContentType::Commit).then(|| Mac(vec![0x42; length]))
    }

    fn forged_tag(&self, content: &Content) -> Result<(), Failure> {
        let mut message = self.public_message(content, |_| {})?;
        flip(message.membership_tag.as_mut().and_then(|tag| tag.0.last_mut()));
        self.expect_violation(message, Violation::MembershipTag).at("forged membership tag")
    }

    /// The tag is over the signature, and right.
    fn forged_signature(&self, content: &Content) -> Result<(), Failure> {
        let message = self.public_message(content, |auth| flip(auth.signature.0.last_mut()))?;
        self.expect_violation(message, Violation::ContentSignature).at("forged signature")
    }

    /// Section 6.2: application data is never in a PublicMessage, however well it is signed.
    fn public_application(&self, content: &Content) -> Result<(), Failure> {
        let message = self.public_message(content, |_| {})?;
        let public = "as a PublicMessage";
        self.expect_violation(message, Violation::PublicApplicationMessage).at(public)?;
        let mut rng = SeededRng::new(self.env.provider.clone(), 0, "message-protection check");
        let own = self.protect(WireFormat::PublicMessage, content, &[], &mut rng)?;
        expect_equal(public, &own.wire_format(), &WireFormat::PrivateMessage)
    }

    fn expect_violation(&self, message: PublicMessage, expected: Violation) -> Result<(), Failure> {
        match self.receiver.unprotect(MlsMessage::Public(message)) {
            Err(Error::Violation(violation)) if violation == expected => Ok(()),
            Err(other) => Err(other.into()),
            Ok(_) => Err(Failure::accepted("message")),
        }
    }

    /// A PublicMessage of the sender that the library itself would not make.
    fn public_message(
        &self,
        content: &Content,
        forge: impl FnOnce(&mut FramedContentAuthData),
    ) -> Result<PublicMessage, Failure> {
        let suite = &self.settings.suite;
        let context = self.context.to_bytes()?;
        let confirmation_tag = self.confirmation_tag(content);
        let content = FramedContent {
            group_id: self.context.group_id.clone(),
            epoch: self.context.epoch,
            sender: Sender::Member(SENDER),
            authenticated_data: Vec::new(),
            content: content.clone(),
        };
        let tbs = content.to_be_signed(WireFormat::PublicMessage, &context)?;
        let signature = circlet::identity::sign_with_label(&self.signer, "FramedContentTBS", &tbs)?;
        let mut auth = FramedContentAuthData { signature, confirmation_tag };
        forge(&mut auth);
        let tbm = PublicMessage::to_be_maced(&content, &auth, &context)?;
        let membership_tag = Some(suite.mac(&self.membership_key, &[&tbm])?);
        Ok(PublicMessage { content, auth, membership_tag })
    }
}

fn flip(byte: Option<&mut u8>) {
    if let Some(byte) = byte {
        *byte ^= 1;
    }
}
