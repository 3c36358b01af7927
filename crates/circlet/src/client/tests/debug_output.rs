//! Nothing secret is printed (V-2.0-01): neither `Debug` of any public type nor any error shows
//! eight bytes in a row of a secret that a run made or used. The library writes no log.
//!
//! What an application message says is no secret here: it is the application's, which prints it or
//! not, so that [`Message`](crate::client::Message) shows it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::device::{Device, group_id};
use super::leak::{Shown, words};
use super::spy::Record;
use crate::client::{Client, GroupOptions, OutgoingKind, ReInitOptions};
use crate::codec::{CustomProposal, Decode, DecodeContext, EncodeError, Limits, Reader};
use crate::crypto::hpke::{self, Labeled};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, Rng, RngError, Secret, Signature, Suite};
use crate::error::Error;
use crate::group::{
    AppliedProposal, ByReference, CommitRequest, ExternalJoin, Founding, Framing, GroupInfoOptions,
    GroupState, HandshakeFormat, JoinKeys, Judge, LeafChange, LeafTemplate, NoPsks, Opened,
    OpenedGroupInfo, OpenedWelcome, Outsider, Padding, PskSource, ReviewItem, Signers,
};
use crate::identity::{
    BasicValidator, CredentialCheck, CredentialRejected, CredentialUse, CredentialValidator,
    SignerError, SigningKey,
};
use crate::message::{
    Content, FramedContentAuthData, GroupId, GroupSecrets, MlsMessage, PrivateContent, Proposal,
    ProposalOrRef, ReInit, Sender, SenderData, Welcome, WireFormat,
};
use crate::rows::{OwnIdentity, StoredKeyPackage, load_group};
use crate::schedule::{
    EpochSecret, JoinerSecret, PreSharedKeyId, Psk, RatchetKind, ResumptionPskUsage, SecretTree,
    SkippedId, SkippedKeys, psk_secret,
};
use crate::storage::{Batch, Key, Precondition, Prefix, Storage};
use crate::tree::{
    ExtensionType, Extensions, ExternalSender, LeafIndex, LeafPosition, Lifetime,
    RequiredCapabilities, TreeError, TreeWidth,
};

/// What one run prints, and the secrets of it.
struct Run {
    shown: Shown,
    record: Record,
    alice: Device,
    bob: Device,
    carol: Device,
}

impl Run {
    fn new(suite: CipherSuite) -> Self {
        let record = Record::default();
        let [alice, bob, carol] =
            ["alice", "bob", "carol"].map(|name| Device::new(name, suite, &record));
        Self { shown: Shown::default(), record, alice, bob, carol }
    }

    /// A conversation between clients, everything printed that they have and get.
    fn clients_talk(&mut self) {
        let Self { shown, alice, bob, carol, .. } = self;
        let options = GroupOptions { group_id: Some(group_id()), ..GroupOptions::default() };
        shown.show(&options);
        let group = alice.client.create_group_with(options).unwrap();
        let key_packages = [bob.client.key_package().unwrap(), carol.client.key_package().unwrap()];
        bob.client.key_package().unwrap();
        for device in [&alice, &bob, &carol] {
            let psk = Secret::new(&psk());
            device.client.add_psk(b"shared", &psk).unwrap();
        }
        let builder = group.commit().psk(b"shared").add(&key_packages[1]);
        shown.show(&builder);
        let pending = group.invite([&key_packages[0]]).unwrap();
        shown.show(&pending);
        pending.discard().unwrap();
        let pending = builder.add(&key_packages[0]).stage().unwrap();
        shown.show(&(&pending, pending.message(), pending.message().id()));
        shown.show(&alice.client.unsent().unwrap());
        let confirmed = pending.confirm().unwrap();
        shown.show(&confirmed);
        let welcome = confirmed.welcome().unwrap();
        shown.show(&welcome.recipients());
        let joined = bob.client.receive(&welcome).unwrap();
        shown.show(&joined);
        carol.client.receive(&welcome).unwrap();

        let (bobs, carols) = (bob.group(), carol.group());
        let wires: Vec<_> = (0..4u8).map(|i| bobs.send([i]).unwrap()).collect();
        shown.show(&wires);
        for wire in [&wires[3], &wires[1]] {
            shown.show(&group.receive(wire).unwrap());
        }
        let proposal = carols.propose_update().unwrap();
        shown.show(&proposal);
        shown.show(&group.receive(&proposal).unwrap());
        bobs.receive(&proposal).unwrap();
        let pending = group.update().unwrap();
        let change = bobs.receive(pending.message()).unwrap();
        shown.show(&change);
        carols.receive(pending.message()).unwrap();
        shown.show(&group.receive(pending.message()).unwrap());
        let invited = Device::new("dave", bob.suite, &self.record);
        let invite = group.invite([invited.client.key_package().unwrap()]).unwrap();
        for other in [&bobs, &carols] {
            other.receive(invite.message()).unwrap();
        }
        shown.show(&invite.confirm().unwrap());
        // Left as they are for those who look inside.
        carols.propose_update().unwrap();
        shown.show(&bobs.update().unwrap());
        for device in [&alice, &bob, &carol] {
            shown.show(&device.client);
            shown.show(&device.client.groups().unwrap());
            shown.show(&device.client.undelivered().unwrap());
            shown.show(&device.storage);
            shown.show(&device.rows());
        }
        let (_, exported) = group.export("label", b"context", 32).unwrap();
        shown.show(&(exported, group.epoch_authenticator().unwrap()));
        shown.show(&group.members().unwrap());
        shown.show(&Client::builder("alice"));
    }

    fn clients_fail(&mut self) {
        let Self { shown, alice, bob, carol, .. } = self;
        let (group, bobs) = (alice.group(), bob.group());
        let key_package = carol.client.key_package().unwrap();
        shown.fail(group.commit().psk(b"unknown").stage());
        shown.fail(group.commit().add(b"no key package").stage());
        shown.fail(group.remove(LeafIndex(77)));
        shown.fail(bobs.update());
        shown.fail(group.export("label", b"", 70_000));
        shown.fail(alice.client.join(&key_package));
        shown.fail(alice.client.receive(&key_package));
        shown.fail(alice.client.create_group_with(GroupOptions {
            group_id: Some(group_id()),
            ..GroupOptions::default()
        }));
        shown.fail(alice.client.group(&crate::message::GroupId::new(b"another")));
        shown.fail(Client::builder("eve").storage(alice.storage.clone()).build());
        shown.fail(Client::builder("eve").storage(alice.storage.clone()).open());
        shown.fail(Client::builder("eve").cipher_suite(CipherSuite(0xF0F0)).build());
        shown.fail(Client::builder("eve").rng(NoRng).build());
        shown.fail(Client::builder("eve").validator(Nobody).build());
        shown.show(&[NoRng.fill(&mut [0])]);
        let wire = bobs.send(b"to be changed").unwrap();
        for at in 0..wire.len() {
            let mut changed = wire.to_vec();
            changed[at] ^= 1;
            match group.receive(&changed) {
                Ok(received) => shown.show(&received),
                failed => shown.fail(failed),
            }
            shown.fail(group.receive(&wire[..at]));
        }
        // Every kind of damage to a row that has secrets in it.
        for (key, row) in alice.rows() {
            let mut changed = row.value.clone();
            changed.truncate(row.value.len() / 2);
            alice.storage.apply(Batch { puts: vec![(key, changed)], ..Batch::default() }).unwrap();
        }
        let absent = Precondition::At(Key::new(&[b"none"]), 7);
        let batch = Batch { preconditions: vec![absent], ..Batch::default() };
        shown.show(&(Prefix::new(&[b"none"]), &batch));
        shown.show(&alice.storage.apply(batch).unwrap_err());
        let builder = Client::builder("alice").storage(alice.storage.clone());
        shown.fail(builder.provider(alice.spy.clone()).open());
    }

    /// The values below a client, had from its group as it is loaded.
    fn the_inside(&mut self) {
        let Self { shown, bob, carol, alice, record, .. } = self;
        for device in [&*alice, &*bob, &*carol] {
            let inner = &device.client.inner;
            let look = |group: &crate::rows::LoadedGroup| {
                shown.show(group);
                let (head, revision) = (group.head.clone(), group.revision);
                let settings = group.state.settings.clone();
                let id = group_id();
                shown.show(&load_group(&device.storage, &id, head, revision, settings)?);
                shown.show(&group.state.epoch.secrets);
                shown.show(&group.state.epoch.secrets.init_secret);
                shown.show(&group.state.epoch.secret_tree);
                shown.show(&group.state.past);
                shown.show(&group.state.skipped);
                shown.show(&group.staged);
                shown.show(&inner.signer);
                shown.show(&OwnIdentity {
                    cipher_suite: device.suite,
                    credential: inner.credential.clone(),
                    signature_key: inner.signer.private_key().clone(),
                });
                the_state(shown, &group.state, &inner.signer, &mut inner.rng())
            };
            inner.look(&group_id(), look).unwrap();
        }
        the_key_packages(shown, bob);
        the_schedule(shown, &alice.client.inner.settings.suite, &mut alice.client.inner.rng());
        the_joiner(shown, alice, carol);
        the_branch(shown, alice, bob);
        the_outside(shown, alice, record);
        the_wire(shown, alice.suite);
    }
}

fn psk() -> Vec<u8> {
    (0..32u8).map(|i| i.wrapping_mul(77) ^ 0x5a).collect()
}

struct NoRng;

impl Rng for NoRng {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), RngError> {
        Err(RngError)
    }
}

struct Nobody;

impl CredentialValidator for Nobody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Err(CredentialRejected)
    }
}

struct OnePsk;

impl PskSource for OnePsk {
    fn external(&self, _: &[u8]) -> Option<Secret> {
        Some(Secret::new(&psk()))
    }
}

/// What a state makes, and takes, without being changed.
fn the_state(
    shown: &mut Shown,
    state: &GroupState,
    signer: &SigningKey,
    rng: &mut dyn Rng,
) -> Result<(), Error> {
    let framing = Framing::default();
    shown.show(&state.send(b"x", &framing, true, signer, rng)?);
    let public = Framing { handshake: HandshakeFormat::Public, ..Framing::default() };
    for framing in [&framing, &public] {
        shown.show(&state.propose_update(framing, signer, rng)?);
    }
    shown.show(&state.group_info(GroupInfoOptions::default(), signer, rng)?);
    let judge = Judge { validator: &BasicValidator, psks: &OnePsk, now: None };
    shown.show(&(judge, NoPsks, BasicValidator, GroupInfoOptions::default()));
    for handshake in [HandshakeFormat::Private, HandshakeFormat::Public] {
        let framing = Framing { handshake, ..Framing::default() };
        let nonce = Secret::random(rng, state.settings.suite.secret_length())?.as_bytes().to_vec();
        let psk = Psk::External { psk_id: b"shared".to_vec() };
        let id = PreSharedKeyId { psk, psk_nonce: nonce };
        let by_value = vec![Proposal::PreSharedKey(id)];
        let request = CommitRequest { by_value, framing, ..CommitRequest::default() };
        shown.show(&request);
        let (staged, step) = state.commit(request, &judge, signer, rng)?;
        shown.show(&step);
        shown.show(&staged);
        shown.show(&read(staged.message()));
        shown.show(&state.confirm(staged)?);
    }
    for member in state.members() {
        let credential = &member.credential;
        let check = CredentialCheck::new(credential, &member.signature_key, CredentialUse::Join);
        shown.show(&check);
        shown.show(&ReviewItem {
            credential: credential.clone(),
            signature_key: member.signature_key.clone(),
            replaced: None,
            reason: CredentialUse::Join,
        });
    }
    let tree = state.tree();
    shown.show(&(tree, tree.width(), tree.parents().collect::<Vec<_>>()));
    shown.show(&(tree.all_nodes(), tree.filtered_direct_path(state.own_leaf())));
    for (_, stored) in tree.all_nodes() {
        shown.show(&stored.content);
    }
    the_small_types(shown, state);
    Ok(())
}

/// Joining and proposing from outside of a group, seen by who does.
fn the_outside(shown: &mut Shown, alice: &Device, record: &Record) {
    let erin = Device::new("erin", alice.suite, record);
    let group = alice.group();
    let request = erin.client.propose_own_add(group.id(), group.epoch().unwrap()).unwrap();
    shown.fail(group.receive(&request));
    let info = group.group_info(GroupInfoOptions::default()).unwrap();
    let builder = erin.client.external_join(&info);
    shown.show(&builder);
    let pending = builder.stage().unwrap();
    shown.show(&pending);
    shown.show(&erin.rows());

    let MlsMessage::GroupInfo(info) = read(&info) else { panic!("no GroupInfo") };
    let inner = &erin.client.inner;
    let opened = OpenedGroupInfo::open(inner.settings.clone(), info, None).unwrap();
    shown.show(&opened);
    let reviewed = opened.accept();
    shown.show(&reviewed);
    let (psks, authenticated_data) = (Vec::new(), Vec::new());
    let leaf = inner.leaf_template();
    let request = ExternalJoin { leaf, replaces: None, psks, authenticated_data };
    shown.show(&request);
    let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: None };
    let staged = reviewed.join(request, &judge, &inner.signer, &mut inner.rng()).unwrap();
    shown.show(&staged);
    shown.show(&Outsider {
        settings: inner.settings.clone(),
        group_id: group_id(),
        epoch: 7,
        authenticated_data: Vec::new(),
    });
    shown.show(&(Signers::of(&inner.signer), LeafChange::default()));
    let body = b"x".to_vec();
    let custom = Proposal::Custom { proposal_type: crate::tree::ProposalType(0xf001), body };
    shown.show(&AppliedProposal::new(crate::client::Proposer::NewMember, custom));
    shown.show(&crate::client::Proposer::NewMember);
    let usage = ResumptionPskUsage::Branch;
    shown.show(&crate::client::Continuation { usage, group_id: group_id(), epoch: 7 });
}

/// What is a part of other values, and printed there under the names of its variants alone.
fn the_small_types(shown: &mut Shown, state: &GroupState) {
    let settings = state.settings();
    let suite = &settings.suite;
    shown.show(&(suite.id(), suite.hash(&[b"x"]).unwrap()));
    shown.show(&Suite::new(Arc::new(DefaultProvider::new()), CipherSuite(0)).unwrap_err());
    shown.show(&(state.status(), Padding::Multiple(7), HandshakeFormat::Public));
    shown.show(&(OutgoingKind::Welcome, CredentialUse::Own, ResumptionPskUsage::Branch));
    shown.show(&(CredentialRejected, SignerError::Unavailable, EncodeError::VectorTooLong(7)));
    shown.show(&TreeError::TooManyLeaves { limit: 7 });
    shown.show(&Precondition::Absent(Key::new(&[b"none"])));

    let own = state.member(state.own_leaf()).unwrap();
    let leaf = state.tree().leaf(own.leaf_index).unwrap();
    shown.show(&(&leaf.source, &leaf.extensions));
    shown.show(&LeafPosition { group_id: b"a group", leaf_index: own.leaf_index });
    let (credential, signature_key) = (own.credential, own.signature_key);
    shown.show(&ExternalSender { credential, signature_key });
    shown.show(&(RequiredCapabilities::default(), ExtensionType::RATCHET_TREE));
    let extensions = Extensions::new();
    let group_id = state.group_id().clone();
    let reinit = ReInit { group_id, version: 1, cipher_suite: suite.id(), extensions };
    let proposal = Proposal::ReInit(reinit.clone());
    shown.show(&(reinit, ProposalOrRef::Proposal(Box::new(proposal))));

    let content = Content::Application(b"x".to_vec());
    shown.show(&(&content, Sender::Member(own.leaf_index), WireFormat::PrivateMessage));
    let auth = FramedContentAuthData { signature: Signature(vec![1]), confirmation_tag: None };
    shown.show(&PrivateContent { content, auth });
    shown.show(&SenderData { leaf_index: own.leaf_index, generation: 7, reuse_guard: [1; 4] });
}

/// Stored and loaded key packages, and readers and writers of them.
fn the_key_packages(shown: &mut Shown, device: &Device) {
    let context = DecodeContext::default();
    let rows = device.storage.scan(&Prefix::new(&[b"key-package"])).unwrap();
    for (_, row) in &rows {
        let keys: JoinKeys = StoredKeyPackage::read(&row.value, &context).unwrap();
        shown.show(&keys);
        shown.show(&(&keys.key_package, &keys.init_key));
        shown.show(&Reader::new(&row.value, &context));
        shown.show(&Limits::default());
        let mut batch = Batch::default();
        let reference = keys.key_package.reference(&device.client.inner.settings.suite).unwrap();
        StoredKeyPackage::put(&reference, &keys, &mut batch).unwrap();
        shown.show(&batch);
    }
    assert!(!rows.is_empty());
    let settings = &device.client.inner.settings;
    let template = LeafTemplate {
        credential: device.client.credential().clone(),
        capabilities: LeafTemplate::capabilities(settings),
        lifetime: Lifetime { not_before: 0, not_after: u64::MAX },
        extensions: Extensions::new(),
    };
    shown.show(&template);
    shown.show(settings);
    shown.show(&(CustomProposal::default(), settings.grease));
    shown.show(settings.suite.spec());
}

/// The key schedule, the secret tree and HPKE by themselves.
fn the_schedule(shown: &mut Shown, suite: &Suite, rng: &mut dyn Rng) {
    let length = suite.secret_length();
    let epoch = EpochSecret::random(suite, rng).unwrap();
    shown.show(&epoch);
    let (secrets, encryption_secret) = epoch.secrets(suite).unwrap();
    let commit_secret = Secret::random(rng, length).unwrap();
    let init_secret = &secrets.init_secret;
    let joiner = JoinerSecret::derive(suite, init_secret, &commit_secret, b"context").unwrap();
    let id = PreSharedKeyId {
        psk: Psk::External { psk_id: b"shared".to_vec() },
        psk_nonce: vec![1; length],
    };
    let psk_secret = psk_secret(suite, &[(id, Secret::new(&psk()))]).unwrap();
    let member = joiner.with_psk(suite, &psk_secret).unwrap();
    shown.show(&(&joiner, &member, member.welcome(suite).unwrap(), psk_secret));
    shown.show(&(&secrets, secrets.external_key_pair(suite).unwrap()));
    shown.show(&suite.generate_signature_key_pair(rng).unwrap());

    let mut tree = SecretTree::new(TreeWidth::for_leaves(4).unwrap(), encryption_secret);
    let (kind, limits) = (RatchetKind::Application, Limits::default());
    let (key, mut step) = tree.advance(suite, LeafIndex(1), kind, 3, &limits).unwrap();
    shown.show(&(&key, &step));
    let mut skipped = SkippedKeys::new();
    let message = SkippedId { epoch: 0, leaf: LeafIndex(1), kind, generation: 3 };
    let change = skipped.plan(message, std::mem::take(&mut step.skipped), &limits);
    shown.show(&change);
    skipped.apply(change);
    tree.apply(step);
    shown.show(&(&tree, &skipped, tree.ratchets().collect::<Vec<_>>()));
    let consumed = tree.advance(suite, LeafIndex(1), kind, 0, &limits).unwrap_err();
    shown.show(&consumed);
    shown.show(&key.key.downgrade());

    let keys = suite.generate_key_pair(rng).unwrap();
    let (provider, spec) = (suite.provider(), suite.spec());
    let seed = suite.encapsulation_seed(rng).unwrap();
    let (output, sender) =
        hpke::setup_base_sender(provider, spec, &keys.public, b"info", &seed).unwrap();
    let recipient = hpke::setup_base_recipient(provider, spec, &keys, &output, b"info").unwrap();
    shown.show(&(&keys, &sender, &recipient));
    let psk = Secret::new(&psk());
    shown.show(&hpke::Psk { key: &psk, id: b"shared" });
    shown.show(&Labeled { provider, kdf: spec.kdf.id, suite_id: b"KEM" });
    let sealed = suite.encrypt_with_label(&keys.public, "x", b"", b"text", &seed).unwrap();
    shown.show(&sealed);
    shown.show(&suite.mac(&psk, &[b"x"]).unwrap());
    let secrets = GroupSecrets {
        joiner_secret: joiner.secret().clone(),
        path_secret: Some(commit_secret),
        psks: Vec::new(),
    };
    shown.show(&secrets);
    let plaintext = secrets.to_plaintext().unwrap();
    shown.show(&Reader::new(&plaintext, &DecodeContext::default()));
    shown.show(&GroupSecrets::from_plaintext(&plaintext[1..], &DecodeContext::default()));
}

/// A group that continues another, and all that it takes.
fn the_branch(shown: &mut Shown, founder: &Device, joiner: &Device) {
    let (group, inner) = (founder.group(), &founder.client.inner);
    let old = group.old_group().unwrap();
    let key_package = joiner.client.inner.join_keys().unwrap().key_package;
    let own = inner.join_keys().unwrap();
    let founding = Founding::new(inner.settings.clone(), own, vec![key_package]);
    shown.show(&(&old, &founding, ReInitOptions::default()));
    let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: None };
    let (id, extensions) = (GroupId::new(b"a branch"), Extensions::new());
    let new = old.branch(id, extensions, founding, &judge, &inner.signer, &mut inner.rng());
    shown.show(&new);
    let id = GroupId::new(b"another branch");
    let key_package = joiner.client.key_package().unwrap();
    let continued = group.branch(id, [key_package]).unwrap();
    shown.show(&continued);
    joiner.client.add_old_group(&old).unwrap();
    shown.show(&joiner.client.join(continued.welcome().unwrap()));
}

/// Joining, from the key package to the group, with what goes wrong on the way.
fn the_joiner(shown: &mut Shown, welcomer: &Device, joiner: &Device) {
    let inner = &joiner.client.inner;
    let keys = inner.join_keys().unwrap();
    let add = Proposal::Add(keys.key_package.clone());
    shown.show(&add);
    let judge = Judge { validator: &BasicValidator, psks: &OnePsk, now: None };
    // The joiner's own credential is in the group already: a client of the same key can't join.
    let look = |group: &crate::rows::LoadedGroup| {
        let request = CommitRequest { by_value: vec![add.clone()], ..CommitRequest::default() };
        let signer = &welcomer.client.inner.signer;
        let refused = group.state.commit(request, &judge, signer, &mut welcomer.client.inner.rng());
        shown.fail(refused);
        Ok(())
    };
    welcomer.client.inner.look(&group_id(), look).unwrap();

    let record = Record::default();
    let [host, guest] = ["host", "guest"].map(|name| Device::new(name, joiner.suite, &record));
    let (host, guest) = (&host.client.inner, &guest.client.inner);
    let (own, keys) = (host.join_keys().unwrap(), guest.join_keys().unwrap());
    let settings = host.settings.clone();
    let extensions = Extensions::new();
    let mut state =
        GroupState::create(settings, group_id(), extensions, own, &mut host.rng()).unwrap();
    let by_value = vec![Proposal::Add(keys.key_package.clone())];
    let request = CommitRequest { by_value, ..CommitRequest::default() };
    let (staged, step) = state.commit(request, &judge, &host.signer, &mut host.rng()).unwrap();
    state.apply(step).unwrap();
    let welcome = staged.welcome.clone().unwrap();
    let MlsMessage::Welcome(welcome) = read(&welcome) else { panic!("no Welcome") };
    shown.show(&welcome);
    let open = |welcome: &Welcome, keys: &JoinKeys| {
        OpenedWelcome::open(guest.settings.clone(), welcome, keys, None, &NoPsks)
    };
    let opened = open(&welcome, &keys).unwrap();
    shown.show(&(opened.welcomer(), opened.review_items().collect::<Vec<_>>()));
    shown.show(&opened);
    shown.show(&opened.accept());
    shown.fail(open(&welcome, &guest.join_keys().unwrap()));
    for at in [0, 20] {
        let mut changed = welcome.clone();
        changed.encrypted_group_info[at] ^= 1;
        shown.fail(open(&changed, &keys));
        let mut changed = welcome.clone();
        changed.secrets[0].encrypted_group_secrets.kem_output[at] ^= 1;
        shown.fail(open(&changed, &keys));
    }
    shown.ensure_no_leak(record.secrets().iter().map(Vec::as_slice));
}

/// Messages as they are opened.
fn the_wire(shown: &mut Shown, suite: CipherSuite) {
    let record = Record::default();
    let [alice, bob] = ["alice", "bob"].map(|name| Device::new(name, suite, &record));
    let options = GroupOptions { group_id: Some(group_id()), ..GroupOptions::default() };
    let group = alice.client.create_group_with(options).unwrap();
    let pending = group.invite([bob.client.key_package().unwrap()]).unwrap();
    let bobs = bob.client.join(pending.confirm().unwrap().welcome()).unwrap();
    let data = bobs.send(b"x").unwrap();
    let update = bobs.propose_update().unwrap();
    let commit = bobs.update().unwrap();
    let inner = &alice.client.inner;
    let open = |group: &crate::rows::LoadedGroup| {
        let state = &group.state;
        for wire in [data.as_bytes(), update.as_bytes(), commit.message().as_bytes()] {
            let message = read(wire);
            shown.show(&message);
            match state.open(message, None) {
                Ok(opened) => {
                    shown.show(&opened);
                    match opened {
                        Opened::Application(opened) => shown.show(&opened.accept()),
                        Opened::Proposal(opened) => shown.show(&opened.accept()),
                        Opened::Commit(opened) => shown.show(&opened.accept()),
                        Opened::Own(kind) => shown.show(&kind),
                    }
                }
                // The Commit refers to the proposal, which is not applied here.
                failed => shown.fail(failed),
            }
        }
        Ok(())
    };
    inner.look(&group_id(), open).unwrap();
    group.receive(&update).unwrap();
    shown.show(&group.waiting_proposals().unwrap());
    shown.show(&ByReference::default());
    let process = |group: &crate::rows::LoadedGroup| {
        let opened = group.state.open(read(commit.message()), None)?;
        let Opened::Commit(opened) = opened else { panic!("no Commit") };
        shown.show(&opened);
        let reviewed = opened.accept();
        shown.show(&reviewed);
        shown.show(&group.state.process(reviewed, &NoPsks)?);
        Ok(())
    };
    inner.look(&group_id(), process).unwrap();
    shown.show(&inner.look(&group_id(), |group| Ok(group.state.group_id().clone())).unwrap());
    shown.ensure_no_leak(record.secrets().iter().map(Vec::as_slice));
}

fn read(message: &[u8]) -> MlsMessage {
    MlsMessage::from_bytes(message, &DecodeContext::default()).unwrap()
}

/// Types that have no place for a secret, or none that prints: what they are is in their fields.
const PLAIN: &[&str] = &[
    // Traits' implementations without fields.
    "SystemClock",
    "SystemRng",
    // A code point.
    "ProposalType",
    // References alone, which go over the wire.
    "ByReference",
    // Not `Debug`: nothing to print.
    "Writer",
    "FileStorage",
    // Another provider of the same secrets; it has no field.
    "AwsLcProvider",
    "DefaultProvider",
];

/// Every public type of the library, from its source; those of certificates, which are public,
/// left out.
fn public_types() -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "hazmat", "testing", "x509"].contains(&&*name) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let source = std::fs::read_to_string(&path).unwrap();
                let declared = source.lines().filter_map(|line| {
                    let line = line.trim_start();
                    line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum "))
                });
                types.extend(declared.filter_map(|line| words(line).next()).map(str::to_owned));
            }
        }
    }
    types
}

#[test]
fn nothing_secret_is_printed() {
    let mut types = BTreeSet::new();
    for suite in
        [CipherSuite::X25519_AES128GCM_SHA256_ED25519, CipherSuite::P256_AES128GCM_SHA256_P256]
    {
        let mut run = Run::new(suite);
        run.clients_talk();
        run.the_inside();
        run.clients_fail();
        let secrets = run.record.secrets();
        assert!(secrets.len() > 500);
        let psk = psk();
        let all = secrets.iter().map(Vec::as_slice).chain([psk.as_slice()]);
        run.shown.ensure_no_leak(all);
        types.append(&mut run.shown.types);
    }
    let plain = |name: &String| PLAIN.contains(&name.as_str()) || name == "name";
    let missing: Vec<_> =
        public_types().into_iter().filter(|name| !plain(name) && !types.contains(name)).collect();
    assert!(missing.is_empty(), "not shown by this test: {missing:?}");
}
