//! Sound encodings of everything that is read from bytes.

use circlet::codec::{DecodeContext, Encode, Writer};
use circlet::crypto::{CipherSuite, HashReference, Mac, Secret, Signature};
use circlet::group::{GroupInfoOptions, HandshakeFormat};
use circlet::identity::{Credential, CredentialType};
use circlet::message::{
    AuthenticatedContent, Content, ContentType, FramedContentAuthData, GroupId, GroupSecrets,
    MlsMessage, PrivateContent, Proposal, ProposalOrRef, ReInit, Sender, SenderData, WireFormat,
};
use circlet::schedule::{
    MessageKey, PreSharedKeyId, Psk, RatchetKind, ResumptionPskUsage, SkippedId,
};
use circlet::storage::Key;
use circlet::tree::{
    Extension, ExtensionType, ExternalSender, LeafIndex, ProposalType, RatchetTree,
};

use crate::conversation::{CAROL, Conversation, PSK, extensions};

/// Samples of messages, and of the values inside of them.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
    let mut samples = Samples(Vec::new());
    for framing in [HandshakeFormat::Private, HandshakeFormat::Public] {
        samples.conversation(&Conversation::new(suite, framing));
    }
    samples.made_up();
    let mut samples = samples.0;
    samples.sort();
    samples.dedup();
    samples
}

struct Samples(Vec<Vec<u8>>);

impl Samples {
    fn add(&mut self, value: &impl Encode) {
        self.0.push(value.to_bytes().unwrap());
    }

    fn conversation(&mut self, c: &Conversation) {
        let group = c.alice.group();
        let key_package = c.stranger().client.key_package().unwrap();
        self.message(&group.send(b"hello").unwrap());
        let proposals = [
            group.propose_add(c.stranger().client.key_package().unwrap()).unwrap(),
            group.propose_update().unwrap(),
            group.propose_remove(CAROL).unwrap(),
        ];
        for proposal in proposals {
            self.message(&proposal);
        }
        let commit = c.bob.group();
        let commit = commit.commit().add(&key_package).psk(PSK).extensions(extensions());
        let commit = commit.remove(CAROL).stage().unwrap();
        self.message(commit.message());
        self.message(&commit.confirm().unwrap().welcome().unwrap());
        self.message(&key_package);
        self.message(&group.group_info(GroupInfoOptions::default()).unwrap());
        self.tree(&c.bob.group().ratchet_tree().unwrap());
        self.0.extend(c.bob.rows().into_iter().map(|(key, _)| key.as_bytes().to_vec()));
    }

    fn message(&mut self, bytes: &[u8]) {
        self.0.push(bytes.to_vec());
        match MlsMessage::read(bytes, &DecodeContext::default()).unwrap() {
            MlsMessage::Public(message) => {
                self.add(&message);
                self.content(message.into_unverified());
            }
            MlsMessage::Private(message) => self.add(&message),
            MlsMessage::Welcome(welcome) => {
                self.add(&welcome);
                self.add(&welcome.secrets[0]);
                self.add(&welcome.secrets[0].encrypted_group_secrets);
            }
            MlsMessage::GroupInfo(group_info) => {
                self.add(&group_info);
                self.add(&group_info.group_context);
            }
            MlsMessage::KeyPackage(key_package) => {
                self.add(&key_package);
                self.add(&key_package.init_key);
                self.add(&key_package.leaf_node);
                let leaf = &*key_package.leaf_node;
                self.add(leaf);
                self.add(&leaf.capabilities);
                self.add(&leaf.credential);
                self.add(&leaf.signature_key);
            }
        }
    }

    fn content(&mut self, message: AuthenticatedContent) {
        self.add(&message);
        self.add(&message.content);
        let AuthenticatedContent { content, auth, .. } = message;
        if let Content::Commit(commit) = &content.content {
            self.add(commit);
            let path = commit.path.as_ref().unwrap();
            self.add(&**path);
            self.add(&path.nodes[0]);
            commit.proposals.iter().for_each(|proposal| self.proposal(proposal));
        }
        let private = PrivateContent { content: content.content, auth };
        self.0.push(private.to_plaintext(3).unwrap().to_vec());
    }

    fn proposal(&mut self, proposal: &ProposalOrRef) {
        self.add(proposal);
        if let ProposalOrRef::Proposal(proposal) = proposal {
            self.add(&**proposal);
        }
    }

    fn tree(&mut self, bytes: &[u8]) {
        self.0.push(bytes.to_vec());
        let tree = RatchetTree::from_wire(bytes, &DecodeContext::default()).unwrap();
        for (_, parent) in tree.parents() {
            self.add(parent);
        }
        for (_, node) in tree.all_nodes() {
            self.add(&node);
        }
    }

    /// What no conversation of today's clients has.
    fn made_up(&mut self) {
        let reference = HashReference::new(&[3; 32]);
        self.add(&ProposalOrRef::Reference(reference.clone()));
        self.add(&reference);
        let signature_key = circlet::crypto::SignaturePublicKey::new(&[9; 32]);
        let custom = Credential::Custom { credential_type: CredentialType(0xf002), body: vec![1] };
        for credential in [custom, Credential::X509(vec![vec![1; 70], vec![2; 3], Vec::new()])] {
            self.add(&credential);
            self.add(&ExternalSender { signature_key: signature_key.clone(), credential });
        }
        let reinit = ReInit {
            group_id: GroupId::new(b"next"),
            version: 1,
            cipher_suite: CipherSuite(0x0a0a),
            extensions: extensions(),
        };
        self.add(&reinit);
        self.add(&Proposal::ReInit(reinit));
        self.add(&Proposal::ExternalInit(vec![4; 65]));
        let body = vec![5; 5];
        self.add(&Proposal::Custom { proposal_type: ProposalType(0xf001), body });
        let ids = psk_ids();
        ids.iter().for_each(|id| self.add(id));
        let secret = Secret::new(&[6; 32]);
        for path_secret in [None, Some(secret.clone())] {
            let psks = ids.clone();
            let secrets = GroupSecrets { joiner_secret: secret.clone(), path_secret, psks };
            self.0.push(secrets.to_plaintext().unwrap().to_vec());
        }
        for sender in [Sender::External(7), Sender::NewMemberCommit, Sender::NewMemberProposal] {
            self.add(&sender);
        }
        let sender = SenderData { leaf_index: LeafIndex(1), generation: 2, reuse_guard: [3; 4] };
        self.add(&sender);
        self.private_contents();
        self.small(&secret);
    }

    fn private_contents(&mut self) {
        let auth = |confirmation_tag| FramedContentAuthData {
            signature: Signature(vec![8; 64]),
            confirmation_tag,
        };
        let content = Content::Application(b"hello".to_vec());
        let plain = PrivateContent { content, auth: auth(None) };
        let commit = circlet::message::Commit { proposals: Vec::new(), path: None };
        let content = Content::Commit(commit);
        let commit = PrivateContent { content, auth: auth(Some(Mac(vec![9; 32]))) };
        for content in [plain, commit] {
            self.0.push(content.to_plaintext(0).unwrap().to_vec());
        }
    }

    fn small(&mut self, secret: &Secret) {
        self.add(&WireFormat::Welcome);
        self.add(&ContentType::Commit);
        self.add(&RatchetKind::Application);
        self.add(&ResumptionPskUsage::Branch);
        self.add(&MessageKey { key: secret.clone(), nonce: secret.clone() });
        // A Ratchet: its generation and its secret.
        self.0.push([&[0, 0, 0, 1, 32], secret.as_bytes()].concat());
        let (leaf, kind) = (LeafIndex(4), RatchetKind::Handshake);
        self.add(&SkippedId { epoch: 5, leaf, kind, generation: 6 });
        self.add(&extensions());
        let extension_type = ExtensionType(0x0a0a);
        self.add(&Extension { extension_type, data: vec![1; 64] });
        self.add(&0x1234_5678_u32);
        self.add(&Mac(vec![1; 32]));
        self.0.push(extensions().iter().next().unwrap().data.clone());
        self.0.push(Key::new(&[b"kind", b"", b"group"]).as_bytes().to_vec());
        let mut long = Writer::new();
        long.opaque(&[0; 16_384]);
        self.0.push(long.finish().unwrap());
    }
}

fn psk_ids() -> Vec<PreSharedKeyId> {
    let usage = ResumptionPskUsage::Application;
    let resumption = Psk::Resumption { usage, psk_group_id: vec![1; 4], psk_epoch: 2 };
    let external = Psk::External { psk_id: PSK.to_vec() };
    let psk_nonce = vec![3; 32];
    [resumption, external].map(|psk| PreSharedKeyId { psk, psk_nonce: psk_nonce.clone() }).to_vec()
}
