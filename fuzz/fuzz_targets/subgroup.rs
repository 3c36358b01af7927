//! A Welcome to a group that says it continues another, by a member of that one who puts any
//! pre-shared keys, secrets, context and tree into it: what joiners of a re-initialized group or of a
//! branch check.

#![no_main]

mod faults;
mod seeding;

use std::sync::{LazyLock, Mutex};

use circlet::Error;
use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::{CipherSuite, HpkeKeyPair, Secret, Suite};
use circlet::group::{
    CommitRequest, Founding, JoinKeys, Judge, NewGroup, OldGroup, OpenedWelcome, PskSource,
    Settings,
};
use circlet::identity::{BasicValidator, SigningKey};
use circlet::message::{
    EncryptedGroupSecrets, GroupContext, GroupId, GroupInfo, GroupSecrets, MlsMessage, Proposal,
    ReInit, Welcome,
};
use circlet::schedule::{JoinerSecret, PreSharedKeyId, Psk, psk_secret};
use circlet::testing::{NOW, SeededRng, TestGroup, TestMember};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, MLS10, RatchetTree};
use faults::is_of_a_peer;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// What a Welcome is made of.
struct Parts {
    secrets: Vec<u8>,
    context: Vec<u8>,
    tree: Vec<u8>,
}

struct Scene {
    settings: Settings,
    /// Who makes the groups, at their leaf 0.
    founder: SigningKey,
    victim: JoinKeys,
    /// One that a ReInit has closed, and one that goes on.
    old: Vec<OldGroup>,
    genuine: Vec<Parts>,
}

static SCENE: LazyLock<Mutex<Scene>> = LazyLock::new(|| Mutex::new(Scene::new().unwrap()));

/// The groups that the victim was in.
struct Known<'a>(&'a [OldGroup]);

impl PskSource for Known<'_> {
    fn external(&self, _: &[u8]) -> Option<Secret> {
        Some(Secret::new(&[7; 32]))
    }

    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        self.0.iter().find_map(|old| old.resumption(group_id, epoch))
    }

    fn old_group(&self, group_id: &[u8], epoch: u64) -> Option<OldGroup> {
        self.0.iter().find_map(|old| old.old_group(group_id, epoch))
    }
}

fn join_keys(member: &TestMember, seed: u64) -> Result<JoinKeys, Error> {
    let (settings, template) = (&member.settings, member.template.clone());
    JoinKeys::generate(settings, template, &member.signer, &mut SeededRng::new(seed))
}

impl Scene {
    fn new() -> Result<Self, Error> {
        // The same people in both.
        let mut closed = TestGroup::builder(SUITE).size(3).group_id(b"closed".to_vec()).build()?;
        let open = TestGroup::builder(SUITE).size(3).group_id(b"open".to_vec()).build()?;
        let reinit = ReInit {
            group_id: GroupId::new(b"next"),
            version: MLS10,
            cipher_suite: SUITE,
            extensions: Extensions::new(),
        };
        let by_value = vec![Proposal::ReInit(reinit)];
        let request = CommitRequest { by_value, force_path: false, ..CommitRequest::default() };
        closed.commit(0, request)?;

        let old = |group: &TestGroup| {
            let state = group.members[1].state();
            state.old_group(state.epoch()).unwrap()
        };
        let people = &open.members;
        let (victim, third) = (join_keys(&people[1], 100)?, join_keys(&people[2], 101)?);
        let mut scene = Self {
            settings: people[0].settings.clone(),
            founder: people[0].signer.clone(),
            old: vec![old(&closed), old(&open)],
            genuine: Vec::new(),
            victim,
        };
        for (kind, seed) in [(0, 102), (1, 103)] {
            let own = join_keys(&people[0], seed)?;
            let others = vec![scene.victim.key_package.clone(), third.key_package.clone()];
            let founding = Founding::new(scene.settings.clone(), own, others);
            let NewGroup { state, welcome, .. } = scene.found(kind, founding)?;
            let parts = scene.take_apart(&welcome.unwrap(), state.ratchet_tree()?)?;
            // Otherwise nothing behind the decryption would be fuzzed.
            let welcome = scene.welcome(0, &parts).unwrap();
            scene.join(&welcome)?;
            scene.genuine.push(parts);
        }
        Ok(scene)
    }

    fn found(&self, kind: usize, founding: Founding) -> Result<NewGroup, Error> {
        let (old, rng) = (&self.old[kind], &mut SeededRng::new(104));
        let judge =
            Judge { validator: &BasicValidator, psks: &circlet::group::NoPsks, now: Some(NOW) };
        match kind {
            0 => old.reinitialize(founding, &judge, &self.founder, rng),
            _ => {
                let (id, none) = (GroupId::new(b"branch"), Extensions::new());
                old.branch(id, none, founding, &judge, &self.founder, rng)
            }
        }
    }

    fn take_apart(&self, welcome: &[u8], tree: Vec<u8>) -> Result<Parts, Error> {
        let suite = &self.settings.suite;
        let welcome = match MlsMessage::read(welcome, &self.settings.context)? {
            MlsMessage::Welcome(welcome) => welcome,
            _ => unreachable!(),
        };
        let public = self.victim.key_package.init_key.clone();
        let pair = HpkeKeyPair { private: self.victim.init_key.clone(), public };
        let (info, sealed) =
            (&welcome.encrypted_group_info, &welcome.secrets[0].encrypted_group_secrets);
        let secrets = suite.decrypt_with_label(&pair, "Welcome", info, sealed)?;
        let secrets = secrets.as_bytes().to_vec();
        let read = GroupSecrets::from_plaintext(&secrets, &DecodeContext::default())?;
        let joiner = JoinerSecret::new(suite, read.joiner_secret.clone()).unwrap();
        let keys = joiner.with_psk(suite, &self.psk(&read.psks).unwrap())?.welcome(suite)?;
        let info = suite.open(&keys.key, keys.nonce.as_bytes(), &[], info)?;
        let info = GroupInfo::from_bytes(&info, &self.settings.context)?;
        Ok(Parts { secrets, context: info.group_context.to_bytes()?, tree })
    }

    /// The PSK secret that the victim will have; what it does not know is zero.
    fn psk(&self, ids: &[PreSharedKeyId]) -> Option<Secret> {
        let known = Known(&self.old);
        let secret = |id: &PreSharedKeyId| match &id.psk {
            Psk::External { psk_id } => known.external(psk_id),
            Psk::Resumption { psk_group_id, psk_epoch, .. } => {
                known.resumption(psk_group_id, *psk_epoch)
            }
        };
        let with =
            |id: &PreSharedKeyId| (id.clone(), secret(id).unwrap_or_else(|| Secret::new(&[0; 32])));
        psk_secret(&self.settings.suite, &ids.iter().map(with).collect::<Vec<_>>()).ok()
    }

    /// A Welcome of these parts, made as its sender would have made it.
    fn welcome(&self, flags: u8, parts: &Parts) -> Option<Welcome> {
        let (suite, read): (&Suite, _) = (&self.settings.suite, &self.settings.context);
        let secrets = GroupSecrets::from_plaintext(&parts.secrets, read).ok()?;
        let mut context = GroupContext::from_bytes(&parts.context, read).ok()?;
        if flags & 1 == 0
            && let Ok(tree) = RatchetTree::from_wire(&parts.tree, read)
        {
            context.tree_hash = tree.tree_hash(suite).ok()?.as_bytes().to_vec();
        }
        let joiner = JoinerSecret::new(suite, secrets.joiner_secret.clone()).ok()?;
        let member = joiner.with_psk(suite, &self.psk(&secrets.psks)?).ok()?;
        let keys = member.welcome(suite).ok()?;
        let epoch = member.epoch(suite, &context.to_bytes().ok()?).ok()?;
        let (epoch, _) = epoch.secrets(suite).ok()?;
        let tag = suite.mac(&epoch.confirmation_key, &[&context.confirmed_transcript_hash]).ok()?;
        let extension_type = ExtensionType::RATCHET_TREE;
        let tree = Extension { extension_type, data: parts.tree.clone() };
        let tree = Extensions::from_iter([tree]);
        let signer = LeafIndex((flags >> 6).into());
        let info = GroupInfo::sign(context, tree, tag, signer, &self.founder).ok()?;
        let info = info.to_bytes().ok()?;
        let encrypted_group_info = suite.seal(&keys.key, keys.nonce.as_bytes(), &[], &info).ok()?;
        let encrypted_group_secrets = suite
            .encrypt_with_label(
                &self.victim.key_package.init_key,
                "Welcome",
                &encrypted_group_info,
                &parts.secrets,
                &suite.encapsulation_seed(&mut SeededRng::new(105)).ok()?,
            )
            .ok()?;
        let new_member = self.victim.key_package.reference(suite).ok()?;
        let secrets = vec![EncryptedGroupSecrets { new_member, encrypted_group_secrets }];
        Some(Welcome { cipher_suite: suite.id(), secrets, encrypted_group_info })
    }

    fn join(&self, welcome: &Welcome) -> Result<(), Error> {
        let known = Known(&self.old);
        let settings = self.settings.clone();
        let opened = OpenedWelcome::open(settings, welcome, &self.victim, None, &known)?;
        let continued = opened.continued().map(|(_, old)| old.members().len());
        let state = opened.review(&BasicValidator)?;
        // A group that continues another has nobody who was not in that.
        assert!(continued.is_none_or(|members| state.members().count() <= members));
        assert!(state.members().count() > 1);
        Ok(())
    }
}

/// As many bytes as the first two say, and the rest.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

fuzz_target!(|data: &[u8]| {
    let scene = SCENE.lock().unwrap();
    let Some((flags, rest)) = data.split_first() else { return };
    let Some((secrets, rest)) = split(rest) else { return };
    let Some((context, tree)) = split(rest) else { return };
    let (secrets, context, tree) = (secrets.to_vec(), context.to_vec(), tree.to_vec());
    let Some(welcome) = scene.welcome(*flags, &Parts { secrets, context, tree }) else { return };
    if let Err(error) = scene.join(&welcome) {
        assert!(is_of_a_peer(&error), "{error:?}");
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let scene = SCENE.lock().unwrap();
        // Mixed, so that what is right in the one comes into the other.
        let pick = |shift: u32| &scene.genuine[(seed >> shift) as usize % scene.genuine.len()];
        let mixed = seed & 3 == 0;
        let parts = [pick(2), pick(if mixed { 3 } else { 2 }), pick(if mixed { 4 } else { 2 })];
        let [secrets, context, tree] = [&parts[0].secrets, &parts[1].context, &parts[2].tree];
        let length = |part: &Vec<u8>| (part.len() as u16).to_be_bytes();
        let heads = (length(secrets), length(context));
        [&[0], heads.0.as_slice(), secrets, heads.1.as_slice(), context, tree].concat()
    })
});
