//! Garbage in every field of every method, with real groups at hand.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use circlet_interop::proto::*;
use circlet_interop::rpc::METHODS;
use circlet_interop::runner;
use circlet_interop::server::Options;
use prost::Message;
use tonic::Code;

use crate::raw::Raw;
use crate::stage::{Sample, Stage};
use crate::wire::Random;
use crate::{block_on, start};

/// All methods, at each point of the life of a group; afterwards the server plays all scripts.
#[test]
fn garbage_is_refused_and_changes_nothing() {
    for encrypt in [false, true] {
        block_on(async {
            let address = start(Options::default());
            let mut stage = Stage::new(address, u64::from(encrypt)).await;
            let group = Group::begin(&mut stage, encrypt).await;
            group.talk(&mut stage).await;
            group.change(&mut stage).await;
            group.outsiders(&mut stage).await;
            group.branch(&mut stage).await;
            group.reinit(&mut stage).await;
            let all: Vec<&str> = METHODS.to_vec();
            assert!(all.iter().all(|method| stage.methods.contains(method)), "{:?}", stage.methods);
            assert!(stage.refused > 2_000, "{}", stage.refused);
            assert!(stage.accepted > 50, "{}", stage.accepted);
            plays_on(address).await;
        });
    }
}

/// Bytes that are no HTTP at all, and methods that there are not.
#[test]
fn a_connection_that_is_garbage_harms_no_other() {
    block_on(async {
        let address = start(Options::default());
        let mut random = Random(3);
        for length in [0, 1, 24, 5_000] {
            let mut connection = TcpStream::connect(address).unwrap();
            // The server may hang up in between.
            let _ = connection.write_all(&random.bytes(length));
        }
        let mut raw = Raw::connect(address).await;
        let missing = raw.call("Nothing", &[]).await.unwrap_err();
        assert_eq!(missing.code(), Code::Unimplemented);
        plays_on(address).await;
    });
}

/// The server plays all scripts.
async fn plays_on(address: SocketAddr) {
    let options = runner::Options {
        clients: vec![address.to_string()],
        suite: Some(1),
        states: true,
        ..runner::Options::default()
    };
    let report = runner::run(&options, |_| {}).await.unwrap();
    assert!(report.is_good(), "{:#?}", report.rows);
}

/// The members of a group, by their states.
struct Group {
    encrypt: bool,
    alice: u32,
    bob: u32,
    charlie: u32,
}

const SUITE: u32 = 1;

fn proposal_type(name: &str) -> ProposalDescription {
    let proposal_type = name.as_bytes().to_vec();
    ProposalDescription { proposal_type, ..ProposalDescription::default() }
}

fn no_requirements() -> Extension {
    Extension { extension_type: 3, extension_data: vec![0; 3] }
}

async fn key_package(stage: &mut Stage, identity: &str) -> CreateKeyPackageResponse {
    let identity = identity.as_bytes().to_vec();
    let request = CreateKeyPackageRequest { cipher_suite: SUITE, identity };
    stage.call(Sample::new("CreateKeyPackage", &request, &[])).await
}

/// A Commit of which all is said in advance, in all its wrong forms; the good one is what waits.
async fn commit(stage: &mut Stage, request: &CommitRequest) -> CommitResponse {
    let sample = Sample::new("Commit", request, &[2]);
    stage.call_last(sample.nested(&[&[3], &[3, 6]])).await
}

async fn confirm(stage: &mut Stage, state_id: u32) -> Vec<u8> {
    let request = HandlePendingCommitRequest { state_id };
    let sample = Sample::new("HandlePendingCommit", &request, &[]);
    stage.call::<HandleCommitResponse>(sample).await.epoch_authenticator
}

async fn follow(stage: &mut Stage, state_id: u32, proposal: &[Vec<u8>], commit: &[u8]) -> Vec<u8> {
    let (proposal, commit) = (proposal.to_vec(), commit.to_vec());
    let request = HandleCommitRequest { state_id, proposal, commit };
    let sample = Sample::new("HandleCommit", &request, &[1, 2, 3]);
    stage.call::<HandleCommitResponse>(sample).await.epoch_authenticator
}

async fn psk(stage: &mut Stage, state_or_transaction_id: u32) {
    let (psk_id, psk_secret) = (b"a key".to_vec(), vec![7; 32]);
    let request = StorePSKRequest { state_or_transaction_id, psk_id, psk_secret };
    let _: StorePSKResponse = stage.call_last(Sample::new("StorePSK", &request, &[])).await;
}

impl Group {
    /// Alice creates it; Bob joins with the tree beside the Welcome, Charlie with a key.
    async fn begin(stage: &mut Stage, encrypt: bool) -> Self {
        let _: NameResponse = stage.call(Sample::new("Name", &NameRequest {}, &[])).await;
        let suites = SupportedCiphersuitesRequest {};
        let sample = Sample::new("SupportedCiphersuites", &suites, &[]);
        let suites: SupportedCiphersuitesResponse = stage.call(sample).await;
        assert_eq!(suites.ciphersuites, [1, 2, 3, 4, 5, 6, 7]);
        let request = CreateGroupRequest {
            group_id: b"a group".to_vec(),
            cipher_suite: SUITE,
            encrypt_handshake: encrypt,
            identity: b"alice".to_vec(),
        };
        let created: CreateGroupResponse =
            stage.call(Sample::new("CreateGroup", &request, &[])).await;
        let alice = created.state_id;
        let mut group = Self { encrypt, alice, bob: 0, charlie: 0 };

        let bob = key_package(stage, "bob").await;
        let request = AddProposalRequest { state_id: alice, key_package: bob.key_package };
        let sample = Sample::new("AddProposal", &request, &[2]);
        let add: ProposalResponse = stage.call(sample).await;
        let request = CommitRequest {
            state_id: alice,
            by_reference: vec![add.proposal],
            external_tree: true,
            ..CommitRequest::default()
        };
        let made = commit(stage, &request).await;
        let authenticator = confirm(stage, alice).await;
        let joined = group.join(stage, bob.transaction_id, made).await;
        assert_eq!(joined.epoch_authenticator, authenticator);
        group.bob = joined.state_id;

        let charlie = key_package(stage, "charlie").await;
        for id in [alice, group.bob, charlie.transaction_id] {
            psk(stage, id).await;
        }
        let add = ProposalDescription { key_package: charlie.key_package, ..proposal_type("add") };
        let inject =
            ProposalDescription { psk_id: b"a key".to_vec(), ..proposal_type("externalPSK") };
        let by_value = vec![add, inject];
        let request = CommitRequest {
            state_id: alice,
            by_value,
            force_path: true,
            ..CommitRequest::default()
        };
        let made = commit(stage, &request).await;
        confirm(stage, alice).await;
        let authenticator = follow(stage, group.bob, &[], &made.commit).await;
        let joined = group.join(stage, charlie.transaction_id, made).await;
        assert_eq!(joined.epoch_authenticator, authenticator);
        group.charlie = joined.state_id;
        group
    }

    async fn join(
        &self,
        stage: &mut Stage,
        transaction_id: u32,
        made: CommitResponse,
    ) -> JoinGroupResponse {
        let CommitResponse { welcome, ratchet_tree, .. } = made;
        let request = JoinGroupRequest {
            transaction_id,
            welcome,
            encrypt_handshake: self.encrypt,
            identity: b"someone".to_vec(),
            ratchet_tree,
        };
        stage.call(Sample::new("JoinGroup", &request, &[1, 2, 5]).free(&[3, 4])).await
    }

    /// Application data, authenticators and exported secrets.
    async fn talk(&self, stage: &mut Stage) {
        let request = ProtectRequest {
            state_id: self.alice,
            authenticated_data: b"header".to_vec(),
            plaintext: b"text".to_vec(),
        };
        let sent: ProtectResponse = stage.call(Sample::new("Protect", &request, &[])).await;
        let request = UnprotectRequest { state_id: self.bob, ciphertext: sent.ciphertext };
        let read: UnprotectResponse = stage.call(Sample::new("Unprotect", &request, &[1, 2])).await;
        assert_eq!((read.authenticated_data, read.plaintext), (b"header".into(), b"text".into()));

        let mut said = Vec::new();
        for state_id in [self.alice, self.bob, self.charlie] {
            let request = StateAuthRequest { state_id };
            let auth: StateAuthResponse = stage.call(Sample::new("StateAuth", &request, &[])).await;
            let (label, context) = ("label".to_owned(), b"context".to_vec());
            let request = ExportRequest { state_id, label, context, key_length: 40 };
            let secret: ExportResponse = stage.call(Sample::new("Export", &request, &[])).await;
            assert_eq!(secret.exported_secret.len(), 40);
            said.push((auth, secret));
        }
        assert!(said.iter().all(|one| *one == said[0]));
    }

    /// One Commit of proposals of all kinds and members.
    async fn change(&self, stage: &mut Stage) {
        let request = UpdateProposalRequest { state_id: self.bob };
        let update: ProposalResponse =
            stage.call(Sample::new("UpdateProposal", &request, &[])).await;
        let request = ExternalPSKProposalRequest { state_id: self.bob, psk_id: b"a key".to_vec() };
        let inject: ProposalResponse =
            stage.call(Sample::new("ExternalPSKProposal", &request, &[])).await;
        let request = ResumptionPSKProposalRequest { state_id: self.alice, epoch_id: 2 };
        let resume: ProposalResponse =
            stage.call(Sample::new("ResumptionPSKProposal", &request, &[])).await;
        let extensions = vec![no_requirements()];
        let request = GroupContextExtensionsProposalRequest { state_id: self.bob, extensions };
        let sample = Sample::new("GroupContextExtensionsProposal", &request, &[]);
        let extend: ProposalResponse = stage.call(sample.nested(&[&[2]])).await;
        let request =
            RemoveProposalRequest { state_id: self.alice, removed_id: b"charlie".to_vec() };
        let remove: ProposalResponse =
            stage.call(Sample::new("RemoveProposal", &request, &[2])).await;
        // It is left out of the Commit: Charlie is still wanted.
        assert!(!remove.proposal.is_empty());

        let by_reference: Vec<Vec<u8>> =
            [update, inject, resume, extend].map(|answer| answer.proposal).into();
        let request = CommitRequest {
            state_id: self.alice,
            by_reference: by_reference.clone(),
            ..CommitRequest::default()
        };
        let made = commit(stage, &request).await;
        let authenticator = confirm(stage, self.alice).await;
        psk(stage, self.charlie).await;
        for member in [self.bob, self.charlie] {
            let found = follow(stage, member, &by_reference, &made.commit).await;
            assert_eq!(found, authenticator);
        }
    }

    async fn group_info(&self, stage: &mut Stage, external_tree: bool) -> GroupInfoResponse {
        let request = GroupInfoRequest { state_id: self.alice, external_tree };
        stage.call(Sample::new("GroupInfo", &request, &[])).await
    }

    /// External Commits and proposals.
    async fn outsiders(&self, stage: &mut Stage) {
        let GroupInfoResponse { group_info, ratchet_tree } = self.group_info(stage, true).await;
        let (psk_id, psk_secret) = (b"a key".to_vec(), vec![7; 32]);
        let request = ExternalJoinRequest {
            group_info,
            ratchet_tree,
            encrypt_handshake: self.encrypt,
            identity: b"dave".to_vec(),
            remove_prior: false,
            psks: vec![PreSharedKey { psk_id, psk_secret }],
        };
        let sample = Sample::new("ExternalJoin", &request, &[1, 2]);
        let joined: ExternalJoinResponse = stage.call(sample.nested(&[&[6]])).await;
        for member in [self.alice, self.bob, self.charlie] {
            let found = follow(stage, member, &[], &joined.commit).await;
            assert_eq!(found, joined.epoch_authenticator);
        }
        let dave = joined.state_id;

        let request = CreateExternalSignerRequest { cipher_suite: SUITE, identity: b"ds".into() };
        let signer: CreateExternalSignerResponse =
            stage.call(Sample::new("CreateExternalSigner", &request, &[])).await;
        let external_sender = signer.external_sender;
        let request = AddExternalSignerRequest { state_id: self.alice, external_sender };
        let admit: ProposalResponse =
            stage.call(Sample::new("AddExternalSigner", &request, &[])).await;
        self.commit_one(stage, admit.proposal, &[self.bob, self.charlie, dave]).await;

        let GroupInfoResponse { group_info, ratchet_tree } = self.group_info(stage, true).await;
        let request = ExternalSignerProposalRequest {
            signer_id: signer.signer_id,
            signer_index: 0,
            group_info,
            ratchet_tree,
            description: Some(ProposalDescription {
                removed_id: b"dave".to_vec(),
                ..proposal_type("remove")
            }),
        };
        let sample = Sample::new("ExternalSignerProposal", &request, &[1, 3, 4]);
        let remove: ProposalResponse = stage.call(sample.nested(&[&[5]])).await;
        self.commit_one(stage, remove.proposal, &[self.bob, self.charlie]).await;

        let group_info = self.group_info(stage, false).await.group_info;
        let request = NewMemberAddProposalRequest { group_info, identity: b"erin".to_vec() };
        // The group's signature is not there to be verified without its tree: members do that.
        let sample = Sample::new("NewMemberAddProposal", &request, &[]);
        let add: NewMemberAddProposalResponse = stage.call(sample).await;
        self.commit_one(stage, add.proposal, &[self.bob, self.charlie]).await;
        let free = FreeRequest { state_id: dave };
        let _: FreeResponse = stage.good("Free", &free.encode_to_vec()).await;
        let _: FreeResponse = stage.good("Free", &free.encode_to_vec()).await;
    }

    /// Alice commits one proposal, the others follow.
    async fn commit_one(&self, stage: &mut Stage, proposal: Vec<u8>, others: &[u32]) {
        let by_reference = vec![proposal];
        let request = CommitRequest {
            state_id: self.alice,
            by_reference: by_reference.clone(),
            ..CommitRequest::default()
        };
        let made = commit(stage, &request).await;
        let authenticator = confirm(stage, self.alice).await;
        for member in others {
            let found = follow(stage, *member, &by_reference, &made.commit).await;
            assert_eq!(found, authenticator);
        }
    }

    async fn branch(&self, stage: &mut Stage) {
        let bob = key_package(stage, "bob").await;
        let request = CreateBranchRequest {
            state_id: self.alice,
            group_id: b"a branch".to_vec(),
            extensions: vec![no_requirements()],
            key_packages: vec![bob.key_package],
            force_path: true,
            external_tree: true,
        };
        let sample = Sample::new("CreateBranch", &request, &[1, 4]);
        let branch: CreateSubgroupResponse = stage.call(sample.nested(&[&[3]])).await;
        let request = HandleBranchRequest {
            state_id: self.bob,
            transaction_id: bob.transaction_id,
            welcome: branch.welcome,
            ratchet_tree: branch.ratchet_tree,
        };
        let sample = Sample::new("HandleBranch", &request, &[1, 2, 3, 4]);
        let joined: HandleBranchResponse = stage.call(sample).await;
        assert_eq!(joined.epoch_authenticator, branch.epoch_authenticator);
    }

    /// Erin, who has not joined, goes; then the others move to another group.
    async fn reinit(self, stage: &mut Stage) {
        let request = RemoveProposalRequest { state_id: self.alice, removed_id: b"erin".to_vec() };
        let remove: ProposalResponse =
            stage.call(Sample::new("RemoveProposal", &request, &[2])).await;
        self.commit_one(stage, remove.proposal, &[self.bob, self.charlie]).await;

        let request = ReInitProposalRequest {
            state_id: self.bob,
            cipher_suite: 2,
            group_id: b"the next group".to_vec(),
            extensions: vec![no_requirements()],
        };
        let sample = Sample::new("ReInitProposal", &request, &[]).nested(&[&[4]]);
        let reinit: ProposalResponse = stage.call(sample).await;
        let by_reference = vec![reinit.proposal];
        let request = CommitRequest {
            state_id: self.alice,
            by_reference: by_reference.clone(),
            ..CommitRequest::default()
        };
        let sample = Sample::new("ReInitCommit", &request, &[1, 2]);
        let made: CommitResponse = stage.call_last(sample).await;
        let request = HandlePendingCommitRequest { state_id: self.alice };
        let sample = Sample::new("HandlePendingReInitCommit", &request, &[1]);
        let alice: HandleReInitCommitResponse = stage.call(sample).await;
        let mut others = Vec::new();
        for state_id in [self.bob, self.charlie] {
            let (proposal, commit) = (by_reference.clone(), made.commit.clone());
            let request = HandleCommitRequest { state_id, proposal, commit };
            let sample = Sample::new("HandleReInitCommit", &request, &[1, 2, 3]);
            let closed: HandleReInitCommitResponse = stage.call(sample).await;
            assert_eq!(closed.epoch_authenticator, alice.epoch_authenticator);
            others.push(closed);
        }

        let key_packages = others.iter().map(|other| other.key_package.clone()).collect();
        let request = ReInitWelcomeRequest {
            reinit_id: alice.reinit_id,
            key_package: key_packages,
            force_path: false,
            external_tree: true,
        };
        let sample = Sample::new("ReInitWelcome", &request, &[1, 2]).free(&[4]);
        let group: CreateSubgroupResponse = stage.call(sample).await;
        for other in others {
            let request = HandleReInitWelcomeRequest {
                reinit_id: other.reinit_id,
                welcome: group.welcome.clone(),
                ratchet_tree: group.ratchet_tree.clone(),
            };
            // Parts of the Welcome are for others, and nobody else can tell whether they are right.
            let sample = Sample::new("HandleReInitWelcome", &request, &[1, 3]).free(&[2]);
            let joined: JoinGroupResponse = stage.call(sample).await;
            assert_eq!(joined.epoch_authenticator, group.epoch_authenticator);
        }
    }
}
