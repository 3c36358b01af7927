//! Messages of those who are no members, signed with the right keys: external Commits, proposals of
//! an external sender, and of somebody who wants to be added.

#![no_main]

mod faults;
mod seeding;

use std::sync::{LazyLock, Mutex};

use circlet::Error;
use circlet::codec::{Decode, Encode};
use circlet::crypto::{CipherSuite, Mac, Secret};
use circlet::group::{
    ExternalJoin, GroupInfoOptions, Judge, Opened, OpenedGroupInfo, Policy, Settings,
};
use circlet::identity::{BasicValidator, Signer, SigningKey};
use circlet::message::{
    Commit, Content, FramedContent, KeyPackage, KeyPackageContent, MlsMessage, Proposal,
    ProposalOrRef, ReInit, Sender,
};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{
    NOW, Outsider, SeededRng, TestGroup, TestMember, TestPsks, external_senders,
};
use circlet::tree::{Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafPosition, MLS10};
use faults::is_of_a_peer;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
const PSK: &[u8] = b"psk";
/// The leaf of a member that was removed.
const BLANK: LeafIndex = LeafIndex(2);

struct Scene {
    settings: Settings,
    /// Who receives.
    member: TestMember,
    outsider: Outsider,
    /// Contents that the outsider could send, with the selector that says as whom.
    contents: Vec<(u8, Vec<u8>)>,
}

static SCENE: LazyLock<Mutex<Scene>> = LazyLock::new(|| Mutex::new(Scene::new().unwrap()));

impl Scene {
    fn new() -> Result<Self, Error> {
        let policy = Policy { new_member_proposals: true, ..Policy::default() };
        let builder = TestGroup::builder(SUITE).size(5).policy(policy);
        let outsider = Outsider::new(&builder.settings()?.suite, "outsider", 77)?;
        let senders = external_senders(&[outsider.entry()])?;
        let mut group = builder.extensions(Extensions::from_iter([senders])).build()?;
        group.remove(0, 2)?;
        for member in &mut group.members {
            member.psks.external.insert(PSK.to_vec(), Secret::new(&[7; 32]));
        }
        let mut newcomer = group.newcomer("outsider")?;
        newcomer.signer = outsider.signer.clone();
        // It may take the place of this member.
        let is_old = |member: &&TestMember| member.is_active() && member.leaf() == LeafIndex(3);
        let old = group.members.iter().find(is_old).unwrap();
        newcomer.template.credential = old.template.credential.clone();
        let old = old.leaf();
        let key_package = newcomer.key_package()?;
        let member = group.members.remove(1);
        let mut scene =
            Self { settings: member.settings.clone(), member, outsider, contents: Vec::new() };
        let requests = [(None, false), (Some(old), false), (None, true), (Some(old), true)];
        for (replaces, psk) in requests {
            let content = scene.join(&newcomer, replaces, psk)?;
            scene.contents.push((0, content));
        }
        let extensions = scene.member.state().context().extensions.clone();
        let id = || PreSharedKeyId {
            psk: Psk::External { psk_id: PSK.to_vec() },
            psk_nonce: vec![3; 32],
        };
        let reinit = ReInit {
            group_id: circlet::message::GroupId::new(b"next"),
            version: MLS10,
            cipher_suite: SUITE,
            extensions: Extensions::new(),
        };
        let proposals = [
            (2, Proposal::Add(key_package.clone())),
            (1, Proposal::Add(key_package)),
            (1, Proposal::Remove(old)),
            (1, Proposal::PreSharedKey(id())),
            (1, Proposal::ReInit(reinit)),
            (1, Proposal::GroupContextExtensions(extensions)),
        ];
        for (selector, proposal) in proposals {
            let body = scene.body(selector, Content::Proposal(proposal))?;
            scene.contents.push((selector, body));
        }
        scene.assert_sound();
        Ok(scene)
    }

    /// What the library sends for a join.
    fn join(
        &mut self,
        newcomer: &TestMember,
        replaces: Option<LeafIndex>,
        psk: bool,
    ) -> Result<Vec<u8>, Error> {
        let (state, rng) = (self.member.state(), &mut SeededRng::new(5));
        let info = state.group_info(GroupInfoOptions::default(), &self.member.signer, rng)?;
        let MlsMessage::GroupInfo(info) = info else { unreachable!() };
        let mut psks = Vec::new();
        if psk {
            let id = Psk::External { psk_id: PSK.to_vec() };
            psks.push(PreSharedKeyId { psk: id, psk_nonce: vec![4; 32] });
        }
        let leaf = newcomer.template.clone();
        let request = ExternalJoin { leaf, replaces, psks, authenticated_data: Vec::new() };
        let judge = Judge { validator: &BasicValidator, psks: &self.member.psks, now: Some(NOW) };
        let opened = OpenedGroupInfo::open(self.settings.clone(), info, None)?;
        let staged = opened.accept().join(request, &judge, &newcomer.signer, rng)?;
        match MlsMessage::read(staged.message(), &self.settings.context)? {
            MlsMessage::Public(message) => self.body(0, message.content.content),
            _ => unreachable!(),
        }
    }

    /// Who sends.
    fn sender(selector: u8) -> Sender {
        match selector % 3 {
            0 => Sender::NewMemberCommit,
            1 => Sender::External((selector >> 6 == 3).into()),
            _ => Sender::NewMemberProposal,
        }
    }

    fn framed(&self, selector: u8, content: Content) -> FramedContent {
        let context = self.member.state().context();
        FramedContent {
            group_id: context.group_id.clone(),
            epoch: context.epoch,
            sender: Self::sender(selector),
            authenticated_data: Vec::new(),
            content,
        }
    }

    /// What comes before the content type.
    fn head(&self, selector: u8) -> Vec<u8> {
        let content = self.framed(selector, Content::Application(Vec::new()));
        let mut head = content.to_bytes().unwrap();
        head.truncate(head.len() - 2);
        head
    }

    fn body(&self, selector: u8, content: Content) -> Result<Vec<u8>, Error> {
        let head = self.head(selector).len();
        Ok(self.framed(selector, content).to_bytes()?.split_off(head))
    }

    /// A message with this content, signed as it has to be, if it can be read at all.
    fn message(&mut self, selector: u8, body: &[u8]) -> Option<Vec<u8>> {
        let bytes = [self.head(selector).as_slice(), body].concat();
        let content = FramedContent::from_bytes(&bytes, &self.settings.context).ok()?;
        let mut content = content.content;
        if selector & 8 == 0 {
            match &mut content {
                Content::Application(_) => {}
                Content::Proposal(proposal) => self.sign_proposal(proposal)?,
                Content::Commit(commit) => self.sign_commit(commit)?,
            }
        }
        let is_commit = matches!(content, Content::Commit(_));
        let context = self.member.state().context().clone();
        let frame = self.outsider.content(&context, Self::sender(selector), content).ok()?;
        let tag = is_commit.then(|| Mac(vec![selector; 32]));
        let forged = frame.edit_confirmation_tag(move |value| *value = tag).public().ok()?;
        Some(forged.message)
    }

    fn sign_commit(&self, commit: &mut Commit) -> Option<()> {
        let mut place = BLANK;
        for proposal in &mut commit.proposals {
            if let ProposalOrRef::Proposal(proposal) = proposal {
                self.sign_proposal(proposal)?;
                if let Proposal::Remove(leaf) = &**proposal {
                    place = place.min(*leaf);
                }
            }
        }
        if let Some(path) = &mut commit.path {
            path.leaf_node = self.sign_leaf(&path.leaf_node, place)?;
        }
        Some(())
    }

    fn sign_proposal(&self, proposal: &mut Proposal) -> Option<()> {
        let signer = &self.outsider.signer;
        match proposal {
            Proposal::Add(key_package) => {
                let leaf_node = self.sign_leaf(&key_package.leaf_node, LeafIndex(0))?;
                let content = KeyPackageContent { leaf_node, ..(**key_package).clone() };
                *key_package = KeyPackage::sign(content, signer).ok()?;
            }
            Proposal::Update(leaf) => *leaf = self.sign_leaf(leaf, BLANK)?,
            _ => {}
        }
        Some(())
    }

    /// The same leaf with the outsider's key and signature.
    fn sign_leaf(&self, leaf: &LeafNode, leaf_index: LeafIndex) -> Option<LeafNode> {
        let signer: &SigningKey = &self.outsider.signer;
        let signature_key = signer.public_key().clone();
        let content = LeafNodeContent { signature_key, ..(**leaf).clone() };
        let group_id = self.member.state().group_id().as_bytes().to_vec();
        LeafNode::sign(content, LeafPosition { group_id: &group_id, leaf_index }, signer).ok()
    }

    /// Without a change of the member's state.
    fn receive(&self, message: &[u8]) -> Result<(), Error> {
        let (state, psks): (_, &TestPsks) = (self.member.state(), &self.member.psks);
        match state.open(MlsMessage::read(message, &self.settings.context)?, Some(NOW))? {
            Opened::Proposal(opened) => opened.review(state, &BasicValidator).map(drop),
            Opened::Commit(opened) => {
                drop(state.process(opened.review(&BasicValidator)?, psks)?);
                panic!("a confirmation tag by nobody");
            }
            other => panic!("{other:?}"),
        }
    }

    /// Otherwise nothing behind the signature would be fuzzed.
    fn assert_sound(&mut self) {
        for (selector, body) in self.contents.clone() {
            let message = self.message(selector, &body).unwrap();
            match self.receive(&message) {
                Ok(()) => assert_ne!(selector, 0),
                Err(Error::Violation(Violation::ConfirmationTag)) => assert_eq!(selector, 0),
                Err(error) => panic!("{selector}: {error:?}"),
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut scene = SCENE.lock().unwrap();
    let Some((selector, body)) = data.split_first() else { return };
    let Some(message) = scene.message(*selector, body) else { return };
    if let Err(error) = scene.receive(&message) {
        assert!(is_of_a_peer(&error), "{error:?}");
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let scene = SCENE.lock().unwrap();
        let (selector, body) = &scene.contents[seed as usize % scene.contents.len()];
        [&[*selector], body.as_slice()].concat()
    })
});
