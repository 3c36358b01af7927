//! A GroupInfo and a ratchet tree for an external join, by somebody who holds a member's key and
//! signs whatever it is told: what a joiner checks, and that a member takes what comes of a sound one.

#![no_main]

mod faults;
mod seeding;

use std::sync::{LazyLock, Mutex};

use circlet::Error;
use circlet::codec::{Decode, Encode};
use circlet::crypto::CipherSuite;
use circlet::group::{
    ExternalJoin, GroupInfoOptions, Judge, LeafTemplate, NoPsks, Opened, OpenedGroupInfo, Settings,
};
use circlet::identity::{BasicValidator, SigningKey};
use circlet::message::{GroupContext, GroupInfo, MlsMessage};
use circlet::testing::{NOW, SeededRng, TestGroup, TestMember};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, RatchetTree};
use faults::is_of_a_peer;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// How many bytes come before the rest: flags, the signer's leaf, the joiner's old leaf, and how many
/// bytes of it are for an extension.
const HEAD: usize = 4;

struct Scene {
    settings: Settings,
    /// Who signs the GroupInfo, at leaf 0.
    signer: SigningKey,
    /// A member that receives what the joiner makes.
    member: TestMember,
    /// Who joins, and has a leaf already at leaf 3.
    template: LeafTemplate,
    joiner: SigningKey,
    context: GroupContext,
    genuine: GroupInfo,
    /// The group's tree, and those that came before it.
    trees: Vec<Vec<u8>>,
}

static SCENE: LazyLock<Mutex<Scene>> = LazyLock::new(|| Mutex::new(Scene::new().unwrap()));

impl Scene {
    fn new() -> Result<Self, Error> {
        let mut group = TestGroup::new(CipherSuite::X25519_AES128GCM_SHA256_ED25519, 2)?;
        let mut trees = Vec::new();
        for name in ["carol", "dave", "erin", "frank"] {
            group.add(1, name)?;
            trees.push(group.members[0].state().ratchet_tree()?);
        }
        group.update(3)?;
        group.remove(0, 2)?;
        let own = group.members.remove(0);
        let state = own.state();
        trees.push(state.ratchet_tree()?);
        trees.reverse();
        let rng = &mut SeededRng::new(5);
        let genuine = state.group_info(GroupInfoOptions::default(), &own.signer, rng)?;
        let MlsMessage::GroupInfo(genuine) = genuine else { unreachable!() };
        let joiner = group.members.iter().find(|member| member.leaf() == LeafIndex(3)).unwrap();
        let scene = Self {
            settings: own.settings.clone(),
            signer: own.signer.clone(),
            template: joiner.template.clone(),
            joiner: joiner.signer.clone(),
            context: state.context().clone(),
            genuine,
            trees,
            member: group.members.remove(0),
        };
        // Otherwise nothing behind the signature would be fuzzed.
        let sound = scene.group_info(0, 0, &[], &scene.trees[0]).unwrap();
        scene.join(sound, None, 3).unwrap();
        Ok(scene)
    }

    /// The GroupInfo with another tree, made as its signer would have made it.
    fn group_info(&self, flags: u8, signer: u8, extra: &[u8], tree: &[u8]) -> Option<GroupInfo> {
        let read = &self.settings.context;
        let mut context = self.context.clone();
        if flags & 1 == 0
            && let Ok(tree) = RatchetTree::from_wire(tree, read)
        {
            context.tree_hash = tree.tree_hash(&self.settings.suite).ok()?.as_bytes().to_vec();
        }
        if flags & 2 != 0 {
            context.extensions = Extensions::from_bytes(extra, read).ok()?;
        }
        let mut extensions = self.genuine.extensions.clone();
        let mut set = |extension_type, data: &[u8]| {
            extensions.set(Extension { extension_type, data: data.to_vec() });
        };
        if flags & 4 != 0 {
            set(ExtensionType::EXTERNAL_PUB, extra);
        }
        if flags & 8 == 0 {
            set(ExtensionType::RATCHET_TREE, tree);
        } else {
            extensions = extensions
                .iter()
                .filter(|extension| extension.extension_type != ExtensionType::RATCHET_TREE)
                .cloned()
                .collect();
        }
        let signer = LeafIndex(if flags & 16 == 0 { 0 } else { signer.into() });
        let tag = self.genuine.confirmation_tag.clone();
        GroupInfo::sign(context, extensions, tag, signer, &self.signer).ok()
    }

    /// Joins in the place of `old`, if that is a leaf that could be.
    fn join(&self, info: GroupInfo, tree: Option<&[u8]>, old: u8) -> Result<Vec<u8>, Error> {
        // As it comes from the network.
        let bytes = info.to_bytes()?;
        let info = GroupInfo::from_bytes(&bytes, &self.settings.context)?;
        let opened = OpenedGroupInfo::open(self.settings.clone(), info, tree)?;
        let old = LeafIndex(old.into());
        let request = ExternalJoin {
            leaf: self.template.clone(),
            replaces: opened.tree().leaf(old).is_some().then_some(old),
            psks: Vec::new(),
            authenticated_data: Vec::new(),
        };
        let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: Some(NOW) };
        let reviewed = opened.review(&BasicValidator)?;
        let staged = reviewed.join(request, &judge, &self.joiner, &mut SeededRng::new(9))?;
        let message = staged.message().to_vec();
        let state = staged.confirm();
        assert!(state.members().count() > 0);
        assert!(state.member(state.own_leaf()).is_some());
        Ok(message)
    }

    /// The member takes what a joiner has made of a sound GroupInfo.
    fn receive(&self, message: &[u8]) -> Result<(), Error> {
        let state = self.member.state();
        let message = MlsMessage::read(message, &self.settings.context)?;
        let Opened::Commit(opened) = state.open(message, Some(NOW))? else { unreachable!() };
        state.process(opened.review(&BasicValidator)?, &NoPsks).map(drop)
    }
}

fuzz_target!(|data: &[u8]| {
    let scene = SCENE.lock().unwrap();
    let Some((&[flags, signer, old, extra], rest)) = data.split_first_chunk::<HEAD>() else {
        return;
    };
    // By a stranger, who can sign nothing.
    if flags & 128 != 0 {
        let Ok(info) = GroupInfo::from_bytes(rest, &scene.settings.context) else { return };
        let genuine = info == scene.genuine;
        match scene.join(info, Some(&scene.trees[0]), old) {
            Ok(_) => assert!(genuine, "forged"),
            Err(error) => assert!(is_of_a_peer(&error), "{error:?}"),
        }
        return;
    }
    let Some((extra, tree)) = rest.split_at_checked(extra.into()) else { return };
    let Some(info) = scene.group_info(flags, signer, extra, tree) else { return };
    let is_sound = info.group_context == scene.context && flags & (4 | 16) == 0;
    let outside = (flags & 8 != 0).then_some(tree);
    match scene.join(info, outside, old) {
        Ok(message) if is_sound && tree == scene.trees[0] && old == 3 => {
            scene.receive(&message).unwrap();
        }
        Ok(_) => {}
        Err(error) => assert!(is_of_a_peer(&error), "{error:?}"),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let scene = SCENE.lock().unwrap();
        let flags = (seed >> 8) as u8;
        if flags & 128 != 0 {
            return [&[flags, 0, 3, 0], scene.genuine.to_bytes().unwrap().as_slice()].concat();
        }
        let tree = &scene.trees[seed as usize % scene.trees.len()];
        let extra = match flags & 6 {
            2 => scene.context.extensions.to_bytes().unwrap(),
            4 => scene.genuine.extensions.find(ExtensionType::EXTERNAL_PUB).unwrap().to_vec(),
            _ => Vec::new(),
        };
        // Every other one as it should be.
        let flags = if seed & 1 == 0 { 0 } else { flags };
        let extra = if flags == 0 { Vec::new() } else { extra };
        [&[flags, (seed >> 16) as u8, 3, extra.len() as u8], extra.as_slice(), tree].concat()
    })
});
