//! What happens in the cases of passive clients that we make.

use circlet::codec::Encode;
use circlet::crypto::{Rng, Secret};
use circlet::message::MlsMessage;

use super::active_group::{Act, ActiveGroup, Joiner, Plan, Psks};
use super::grove::below;
use super::passive_client::{Case, Epoch, ExternalPsk};
use super::{Env, Failure, Hex, random};

/// The Commit that adds the passive client.
#[derive(Clone, Copy)]
struct Joining {
    with_psk: bool,
    with_path: bool,
    tree_outside: bool,
    /// Whether somebody else is added with it.
    with_other: bool,
}

const JOININGS: &[Joining] = &[
    Joining { with_psk: false, with_path: false, tree_outside: false, with_other: false },
    Joining { with_psk: true, with_path: true, tree_outside: true, with_other: false },
    Joining { with_psk: false, with_path: true, tree_outside: false, with_other: true },
];

const USUAL: Joining =
    Joining { with_psk: false, with_path: true, tree_outside: false, with_other: false };

/// Who is in the groups that the client joins, which takes leaf 3 there.
const MEMBERS: u32 = 3;

/// A client in a group, and the group around it.
struct Recording {
    group: ActiveGroup,
    case: Case,
}

pub(super) fn welcomes(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for cipher_suite in env.suites() {
        for joining in JOININGS {
            cases.push(Recording::start(env, cipher_suite, *joining, rng)?.case);
        }
    }
    Ok(cases)
}

pub(super) fn commits(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for cipher_suite in env.suites() {
        for epochs in scripts() {
            let mut recording = Recording::start(env, cipher_suite, USUAL, rng)?;
            for plan in epochs {
                recording.commit(plan, rng)?;
            }
            cases.push(recording.case);
        }
    }
    Ok(cases)
}

pub(super) fn random_lives(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for cipher_suite in env.suites() {
        let mut recording = Recording::start(env, cipher_suite, USUAL, rng)?;
        for _ in 0..8 {
            let plan = random_plan(&recording.group, rng)?;
            recording.commit(plan, rng)?;
        }
        cases.push(recording.case);
    }
    Ok(cases)
}

impl Recording {
    fn start(
        env: &Env,
        cipher_suite: u16,
        joining: Joining,
        rng: &mut dyn Rng,
    ) -> Result<Self, Failure> {
        let psk = ExternalPsk { psk_id: random(rng, 16)?, psk: random(rng, 32)? };
        let psks = Psks([(psk.psk_id.to_vec(), Secret::new(&psk.psk))].into());
        let mut group = ActiveGroup::new(env, cipher_suite, MEMBERS, psks, rng)?;
        let Joiner { keys, signer } = Joiner::new(&group.settings, 99, rng)?;
        let plan = Plan {
            committer: 1,
            by_reference: if joining.with_other { vec![(0, Act::Add)] } else { Vec::new() },
            by_value: [Act::AddPassive(Box::new(keys.key_package.clone()))]
                .into_iter()
                .chain(joining.with_psk.then_some(Act::ExternalPsk))
                .collect(),
            without_path: !joining.with_path,
            tree_outside: joining.tree_outside,
            private: false,
        };
        let committed = group.commit(plan, rng)?;
        let case = Case {
            cipher_suite,
            external_psks: vec![psk],
            key_package: MlsMessage::KeyPackage(keys.key_package).to_bytes()?.into(),
            signature_priv: Hex::from(signer.private_key().secret()),
            encryption_priv: Hex::from(keys.leaf_key.secret()),
            init_priv: Hex::from(keys.init_key.secret()),
            welcome: committed.welcome.ok_or_else(|| Failure::missing("welcome"))?,
            ratchet_tree: committed.ratchet_tree,
            initial_epoch_authenticator: committed.epoch_authenticator,
            epochs: Vec::new(),
        };
        Ok(Self { group, case })
    }

    fn commit(&mut self, plan: Plan, rng: &mut dyn Rng) -> Result<(), Failure> {
        let committed = self.group.commit(plan, rng)?;
        self.case.epochs.push(Epoch {
            proposals: committed.proposals,
            commit: committed.commit,
            epoch_authenticator: committed.epoch_authenticator,
        });
        Ok(())
    }
}

/// Each kind of proposal by reference and by value, in groups of leaves 0 to 2 beside the client.
fn scripts() -> [Vec<Plan>; 5] {
    let by_value =
        |committer, acts: &[Act]| Plan { committer, by_value: acts.to_vec(), ..Plan::default() };
    let by_reference = |committer, acts: &[(u32, Act)]| Plan {
        committer,
        by_reference: acts.to_vec(),
        ..Plan::default()
    };
    [
        vec![
            Plan { without_path: true, ..by_value(0, &[Act::Add]) },
            by_reference(2, &[(0, Act::Add), (1, Act::Update)]),
        ],
        vec![by_reference(0, &[(1, Act::Remove(2))]), by_value(1, &[Act::Remove(0)])],
        vec![
            by_reference(0, &[(1, Act::ExternalPsk), (2, Act::ResumptionPsk)]),
            Plan { without_path: true, ..by_value(2, &[Act::ResumptionPsk, Act::ExternalPsk]) },
        ],
        vec![by_reference(0, &[(2, Act::Extensions)]), by_value(1, &[Act::Extensions])],
        vec![
            by_value(2, &[]),
            Plan {
                private: true,
                by_value: vec![Act::Add, Act::ExternalPsk],
                ..by_reference(0, &[(1, Act::Update), (1, Act::Remove(2)), (2, Act::Add)])
            },
        ],
    ]
}

/// A Commit of what may contradict itself by reference, but not by value.
fn random_plan(group: &ActiveGroup, rng: &mut dyn Rng) -> Result<Plan, Failure> {
    let leaves = group.leaves();
    let pick = |rng: &mut dyn Rng| -> Result<u32, Failure> {
        let which = below(leaves.len() as u32, rng)?;
        leaves.get(which as usize).copied().ok_or_else(|| Failure::missing("member"))
    };
    let committer = pick(rng)?;
    // Who joins can't know a resumption PSK, so that an epoch has either.
    let grows = leaves.len() < 3 || (leaves.len() < 6 && below(2, rng)? == 0);
    let act = |rng: &mut dyn Rng| -> Result<Act, Failure> {
        Ok(match below(5, rng)? {
            0 | 1 if grows => Act::Add,
            0 if leaves.len() > 3 => Act::Remove(pick(rng)?),
            1 if !grows => Act::ResumptionPsk,
            2 => Act::Extensions,
            3 => Act::ExternalPsk,
            _ => Act::Update,
        })
    };
    let mut plan = Plan { committer, private: below(2, rng)? == 0, ..Plan::default() };
    for _ in 0..below(4, rng)? {
        plan.by_reference.push((pick(rng)?, act(rng)?));
    }
    match act(rng)? {
        // Neither can be in a Commit by value.
        Act::Update => {}
        Act::Remove(leaf) if leaf == committer => {}
        act => plan.by_value.push(act),
    }
    Ok(plan)
}
