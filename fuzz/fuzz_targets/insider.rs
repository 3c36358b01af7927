//! A member that holds the right keys and signs whatever it is told.

use std::sync::Arc;

use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{HpkeKeyPair, Mac, Suite};
use circlet::group::{
    CommitRequest, Framing, GroupState, HandshakeFormat, JoinKeys, Judge, LeafTemplate, NoPsks,
    OpenedWelcome, Settings,
};
use circlet::identity::{BasicValidator, Credential, Signer, SigningKey, sign_with_label};
use circlet::message::{
    Commit, Content, FramedContent, FramedContentAuthData, GroupSecrets, KeyPackage,
    KeyPackageContent, MlsMessage, Proposal, ProposalOrRef, PublicMessage, Sender, Welcome,
    WireFormat,
};
use circlet::schedule::{EpochSecrets, JoinerSecret, psk_secret};
use circlet::tree::{Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafPosition, Lifetime};

use crate::conversation::{BOB, Conversation, NOW, group_id};
use crate::crypto_support::Seeded;

pub(crate) struct Insider {
    settings: Settings,
    signer: SigningKey,
    /// Signs for those whom the insider adds.
    added: SigningKey,
    state: GroupState,
    secrets: EpochSecrets,
}

/// The keys of somebody who is about to join, others for each seed.
pub(crate) fn join_keys(
    settings: &Settings,
    signer: &SigningKey,
    name: &str,
    seed: u64,
) -> JoinKeys {
    let template = LeafTemplate {
        credential: Credential::basic(name),
        capabilities: LeafTemplate::capabilities(settings),
        lifetime: Lifetime { not_before: NOW - 3600, not_after: NOW + 86_400 },
        extensions: Extensions::new(),
    };
    JoinKeys::generate(settings, template, signer, &mut Seeded(7000 + seed)).unwrap()
}

/// What a Welcome says to the owner of these keys.
pub(crate) fn open_secrets(suite: &Suite, welcome: &Welcome, keys: &JoinKeys) -> GroupSecrets {
    let public = keys.key_package.init_key.clone();
    let pair = HpkeKeyPair { private: keys.init_key.clone(), public };
    let context = &welcome.encrypted_group_info;
    let sealed = &welcome.secrets[0].encrypted_group_secrets;
    let plaintext = suite.decrypt_with_label(&pair, "Welcome", context, sealed).unwrap();
    GroupSecrets::from_plaintext(plaintext.as_bytes(), &DecodeContext::default()).unwrap()
}

impl Insider {
    /// Alice adds the insider; everybody follows.
    pub(crate) fn join(c: &Conversation) -> Self {
        let suite = Suite::new(Arc::new(DefaultProvider::new()), c.suite).unwrap();
        let settings = Settings::new(suite.clone());
        let mut rng = Seeded(3);
        let signer = SigningKey::generate(&suite, &mut rng).unwrap();
        let added = SigningKey::generate(&suite, &mut rng).unwrap();
        let keys = join_keys(&settings, &signer, "mallory", 0);
        let key_package = MlsMessage::KeyPackage(keys.key_package.clone()).to_bytes().unwrap();
        let pending = c.alice.group().invite([key_package]).unwrap();
        c.deliver(&c.alice, pending.message());
        let welcome = pending.confirm().unwrap().welcome();
        let welcome = match MlsMessage::read(&welcome, &settings.context).unwrap() {
            MlsMessage::Welcome(welcome) => welcome,
            other => panic!("no Welcome: {other:?}"),
        };
        let opened = OpenedWelcome::open(settings.clone(), &welcome, &keys, None, &NoPsks);
        let state = opened.unwrap().accept();
        let joiner = open_secrets(&suite, &welcome, &keys).joiner_secret;
        let joiner = JoinerSecret::new(&suite, joiner).unwrap();
        let member = joiner.with_psk(&suite, &psk_secret(&suite, &[]).unwrap()).unwrap();
        let epoch = member.epoch(&suite, &state.context().to_bytes().unwrap()).unwrap();
        let (secrets, _) = epoch.secrets(&suite).unwrap();
        Self { settings, signer, added, state, secrets }
    }

    /// Contents that this member could send.
    pub(crate) fn contents(&self, key_package: &[u8]) -> Vec<Vec<u8>> {
        let framing = Framing { handshake: HandshakeFormat::Public, ..Framing::default() };
        let (signer, mut rng) = (&self.signer, Seeded(5));
        let key_package = match MlsMessage::read(key_package, &self.settings.context).unwrap() {
            MlsMessage::KeyPackage(key_package) => key_package,
            other => panic!("no KeyPackage: {other:?}"),
        };
        let (add, remove) = (Proposal::Add(key_package), Proposal::Remove(BOB));
        let mut messages = Vec::new();
        let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: Some(NOW) };
        for proposal in [add.clone(), remove.clone()] {
            let made = self.state.propose(proposal, &judge, &framing, signer, &mut rng);
            messages.push(made.unwrap().0);
        }
        messages.push(self.state.propose_update(&framing, signer, &mut rng).unwrap().0);
        let lists = [vec![], vec![add.clone()], vec![remove.clone()], vec![add, remove]];
        for (by_value, force_path) in
            lists.into_iter().flat_map(|l| [(l.clone(), true), (l, false)])
        {
            let framing = framing.clone();
            let request = CommitRequest { by_value, force_path, framing, ..Default::default() };
            if let Ok((staged, _)) = self.state.commit(request, &judge, signer, &mut rng) {
                messages.push(staged.message().to_vec());
            }
        }
        let head = self.head().len();
        let body = |message: Vec<u8>| match MlsMessage::read(&message, &self.settings.context) {
            Ok(MlsMessage::Public(message)) => message.content.to_bytes().unwrap().split_off(head),
            other => panic!("not public: {other:?}"),
        };
        messages.into_iter().map(body).collect()
    }

    /// What comes before the content type in every message of this member.
    fn head(&self) -> Vec<u8> {
        let content = FramedContent {
            group_id: group_id(),
            epoch: self.state.epoch(),
            sender: Sender::Member(self.state.own_leaf()),
            authenticated_data: Vec::new(),
            content: Content::Application(Vec::new()),
        };
        let mut head = content.to_bytes().unwrap();
        head.truncate(head.len() - 2);
        head
    }

    /// A message with this content type and content, authenticated as it has to be, if it can be
    /// read at all. What is signed in it is signed again, as `selector` says.
    pub(crate) fn message(&self, body: &[u8], selector: u8) -> Option<Vec<u8>> {
        let bytes = [self.head().as_slice(), body].concat();
        let mut content = FramedContent::from_bytes(&bytes, &self.settings.context).ok()?;
        if selector & 8 == 0 {
            match &mut content.content {
                Content::Application(_) => {}
                Content::Proposal(proposal) => self.sign_proposal(proposal)?,
                Content::Commit(commit) => self.sign_commit(commit)?,
            }
        }
        let context = self.state.context().to_bytes().ok()?;
        let tbs = content.to_be_signed(WireFormat::PublicMessage, &context).ok()?;
        let signature = sign_with_label(&self.signer, "FramedContentTBS", &tbs).ok()?;
        let is_commit = matches!(content.content, Content::Commit(_));
        let confirmation_tag = is_commit.then(|| Mac(vec![selector; 32]));
        let auth = FramedContentAuthData { signature, confirmation_tag };
        let tbm = PublicMessage::to_be_maced(&content, &auth, &context).ok()?;
        let suite = &self.settings.suite;
        let tag = suite.mac(&self.secrets.membership_key, &[&tbm]).ok()?;
        let message = PublicMessage { content, auth, membership_tag: Some(tag) };
        MlsMessage::Public(message).to_bytes().ok()
    }

    fn sign_commit(&self, commit: &mut Commit) -> Option<()> {
        for proposal in &mut commit.proposals {
            if let ProposalOrRef::Proposal(proposal) = proposal {
                self.sign_proposal(proposal)?;
            }
        }
        if let Some(path) = &mut commit.path {
            path.leaf_node = sign_leaf(&path.leaf_node, &self.signer, self.state.own_leaf())?;
        }
        Some(())
    }

    fn sign_proposal(&self, proposal: &mut Proposal) -> Option<()> {
        match proposal {
            Proposal::Add(key_package) => *key_package = sign_package(key_package, &self.added)?,
            Proposal::Update(leaf) => *leaf = sign_leaf(leaf, &self.signer, self.state.own_leaf())?,
            _ => {}
        }
        Some(())
    }
}

/// The same leaf with the signer's key and signature.
fn sign_leaf(leaf: &LeafNode, signer: &SigningKey, leaf_index: LeafIndex) -> Option<LeafNode> {
    let signature_key = signer.public_key().clone();
    let content = LeafNodeContent { signature_key, ..(**leaf).clone() };
    let group_id = group_id();
    let position = LeafPosition { group_id: group_id.as_bytes(), leaf_index };
    LeafNode::sign(content, position, signer).ok()
}

fn sign_package(key_package: &KeyPackage, signer: &SigningKey) -> Option<KeyPackage> {
    let leaf_node = sign_leaf(&key_package.leaf_node, signer, LeafIndex(0))?;
    KeyPackage::sign(KeyPackageContent { leaf_node, ..(**key_package).clone() }, signer).ok()
}
