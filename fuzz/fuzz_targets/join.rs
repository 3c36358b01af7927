//! A Welcome whose sender holds the right keys and puts any ratchet tree, extensions and secrets
//! into it: what a joiner checks of a tree, behind all that a forger without keys can't pass.

#![no_main]
#![allow(dead_code, reason = "each target uses its part of what they share")]

#[path = "../../crates/circlet/tests/bad_input/conversation.rs"]
mod conversation;
#[path = "../../crates/circlet/tests/crypto_support/mod.rs"]
mod crypto_support;
mod insider;
mod seeding;

use std::sync::{Arc, LazyLock};

use circlet::Error;
use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, Secret, Suite};
use circlet::group::{CommitRequest, GroupState, JoinKeys, Judge, NoPsks, OpenedWelcome, Settings};
use circlet::identity::{BasicValidator, SigningKey};
use circlet::message::{
    EncryptedGroupSecrets, GroupContext, GroupInfo, GroupSecrets, MlsMessage, Proposal, Welcome,
};
use circlet::schedule::{JoinerSecret, psk_secret};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, RatchetTree};
use conversation::{NOW, extensions, group_id};
use crypto_support::Seeded;
use insider::{join_keys, open_secrets};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// How many bytes come before the tree: flags, the signer's leaf, the first byte of a path secret.
const HEAD: usize = 3;

struct Scene {
    settings: Settings,
    /// Signs the GroupInfo, as the member at leaf 0.
    signer: SigningKey,
    victim: JoinKeys,
    welcome: Welcome,
    secrets: GroupSecrets,
    context: GroupContext,
    /// The victim's tree, and those that came before it.
    trees: Vec<Vec<u8>>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

impl Scene {
    fn new() -> Self {
        let provider = Arc::new(DefaultProvider::new());
        let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
        let settings = Settings::new(Suite::new(provider, suite).unwrap());
        let suite = &settings.suite;
        let mut rng = Seeded(1);
        let signer = SigningKey::generate(suite, &mut rng).unwrap();
        let own = join_keys(&settings, &signer, "mallory", 0);
        let (id, none) = (group_id(), Extensions::new());
        let mut state = GroupState::create(settings.clone(), id, none, own, &mut rng).unwrap();
        let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: Some(NOW) };
        let (mut trees, mut last) = (Vec::new(), None);
        // Members come one by one, some without a path, so that there are unmerged leaves; two of
        // them go again.
        for round in 1..9_u32 {
            let key = SigningKey::generate(suite, &mut rng).unwrap();
            let keys = join_keys(&settings, &key, "member", u64::from(round));
            let mut by_value = vec![Proposal::Add(keys.key_package.clone())];
            if round == 4 || round == 6 {
                by_value.push(Proposal::Remove(LeafIndex(round - 3)));
            }
            let force_path = round % 2 == 0;
            let request = CommitRequest { by_value, force_path, ..CommitRequest::default() };
            let (staged, step) = state.commit(request, &judge, &signer, &mut rng).unwrap();
            state.apply(step).unwrap();
            let (confirmed, step) = state.confirm(staged).unwrap();
            state.apply(step).unwrap();
            trees.push(state.ratchet_tree().unwrap());
            last = Some((confirmed.welcome.unwrap(), keys));
        }
        let (welcome, victim) = last.unwrap();
        let welcome = match MlsMessage::read(&welcome, &settings.context).unwrap() {
            MlsMessage::Welcome(welcome) => welcome,
            other => panic!("no Welcome: {other:?}"),
        };
        let secrets = open_secrets(suite, &welcome, &victim);
        let context = state.context().clone();
        trees.reverse();
        let scene = Self { settings, signer, victim, welcome, secrets, context, trees };
        // Otherwise nothing behind the decryption would be fuzzed.
        let sound = scene.welcome(0, 0, 0, &scene.trees[0]).unwrap();
        scene.open(&sound).unwrap();
        scene
    }

    fn open(&self, welcome: &Welcome) -> Result<OpenedWelcome, Error> {
        OpenedWelcome::open(self.settings.clone(), welcome, &self.victim, None, &NoPsks)
    }

    /// The Welcome with another tree, made as its sender would have made it.
    fn welcome(&self, flags: u8, signer: u8, path_secret: u8, tree: &[u8]) -> Option<Welcome> {
        let suite = &self.settings.suite;
        let mut context = self.context.clone();
        if flags & 1 == 0
            && let Ok(tree) = RatchetTree::from_wire(tree, &DecodeContext::default())
        {
            context.tree_hash = tree.tree_hash(suite).ok()?.as_bytes().to_vec();
        }
        if flags & 2 != 0 {
            context.extensions = extensions();
        }
        let secrets = GroupSecrets {
            joiner_secret: self.secrets.joiner_secret.clone(),
            path_secret: match flags & 12 {
                0 => self.secrets.path_secret.clone(),
                4 => None,
                _ => Some(Secret::new(&[path_secret; 32])),
            },
            psks: Vec::new(),
        };
        let joiner = JoinerSecret::new(suite, secrets.joiner_secret.clone()).ok()?;
        let member = joiner.with_psk(suite, &psk_secret(suite, &[]).ok()?).ok()?;
        let keys = member.welcome(suite).ok()?;
        let epoch = member.epoch(suite, &context.to_bytes().ok()?).ok()?;
        let (epoch, _) = epoch.secrets(suite).ok()?;
        let tag = suite.mac(&epoch.confirmation_key, &[&context.confirmed_transcript_hash]).ok()?;
        let extension_type = ExtensionType::RATCHET_TREE;
        let tree = Extensions::from_iter([Extension { extension_type, data: tree.to_vec() }]);
        let leaf = LeafIndex(if flags & 16 == 0 { 0 } else { signer.into() });
        let info = GroupInfo::sign(context, tree, tag, leaf, &self.signer).ok()?;
        let info = info.to_bytes().ok()?;
        let encrypted_group_info = suite.seal(&keys.key, keys.nonce.as_bytes(), &[], &info).ok()?;
        let encrypted_group_secrets = suite
            .encrypt_with_label(
                &self.victim.key_package.init_key,
                "Welcome",
                &encrypted_group_info,
                &secrets.to_plaintext().ok()?,
                &suite.encapsulation_seed(&mut Seeded(9)).ok()?,
            )
            .ok()?;
        let new_member = self.welcome.secrets[0].new_member.clone();
        let secrets = vec![EncryptedGroupSecrets { new_member, encrypted_group_secrets }];
        Some(Welcome { cipher_suite: suite.id(), secrets, encrypted_group_info })
    }
}

fuzz_target!(|data: &[u8]| {
    let scene = &*SCENE;
    let Some((&[flags, signer, path_secret], tree)) = data.split_first_chunk::<HEAD>() else {
        return;
    };
    let Some(welcome) = scene.welcome(flags, signer, path_secret, tree) else { return };
    let bytes = welcome.to_bytes().unwrap();
    let welcome = Welcome::from_bytes(&bytes, &scene.settings.context).unwrap();
    match scene.open(&welcome) {
        Ok(opened) => {
            let state = opened.accept();
            assert_eq!(state.ratchet_tree().unwrap(), tree);
            assert!(state.members().count() > 1);
        }
        Err(error) => assert!(
            matches!(error, Error::Violation(_) | Error::Malformed(_) | Error::Refused(_)),
            "{error:?}"
        ),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let tree = &SCENE.trees[seed as usize % SCENE.trees.len()];
        // Every other one as it should be.
        let flags = if seed & 1 == 0 { 0 } else { (seed >> 8) as u8 };
        [&[flags, (seed >> 16) as u8, 0], tree.as_slice()].concat()
    })
});
