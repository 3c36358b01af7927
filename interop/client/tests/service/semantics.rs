//! What the scripts don't ask.

use circlet::codec::DecodeContext;
use circlet::group::Grease;
use circlet::message::MlsMessage;
use circlet::tree::is_grease;
use circlet_interop::proto::*;
use circlet_interop::rpc::Client;
use circlet_interop::server::Options;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::{block_on, start};

async fn client(options: Options) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", start(options))).unwrap();
    Client::new(endpoint.connect().await.unwrap())
}

async fn create(client: &mut Client, encrypt_handshake: bool) -> u32 {
    let (group_id, identity) = (b"a group".to_vec(), b"alice".to_vec());
    let request = CreateGroupRequest { group_id, cipher_suite: 1, encrypt_handshake, identity };
    client.create_group(request).await.unwrap().state_id
}

async fn key_package(client: &mut Client, name: &str) -> CreateKeyPackageResponse {
    let identity = name.as_bytes().to_vec();
    let request = CreateKeyPackageRequest { cipher_suite: 1, identity };
    client.create_key_package(request).await.unwrap()
}

fn words(name: &str) -> ProposalDescription {
    let proposal_type = name.as_bytes().to_vec();
    ProposalDescription { proposal_type, ..ProposalDescription::default() }
}

fn by_value(state_id: u32, by_value: Vec<ProposalDescription>) -> CommitRequest {
    CommitRequest { state_id, by_value, ..CommitRequest::default() }
}

async fn confirm(client: &mut Client, state_id: u32) -> Vec<u8> {
    let request = HandlePendingCommitRequest { state_id };
    client.handle_pending_commit(request).await.unwrap().epoch_authenticator
}

/// Alice and Bob.
async fn pair(client: &mut Client, encrypt: bool) -> [u32; 2] {
    let alice = create(client, encrypt).await;
    let bob = key_package(client, "bob").await;
    let add = ProposalDescription { key_package: bob.key_package, ..words("add") };
    let welcome = client.commit(by_value(alice, vec![add])).await.unwrap().welcome;
    confirm(client, alice).await;
    let request = JoinGroupRequest {
        transaction_id: bob.transaction_id,
        welcome,
        encrypt_handshake: encrypt,
        ..JoinGroupRequest::default()
    };
    [alice, client.join_group(request).await.unwrap().state_id]
}

async fn authenticator(client: &mut Client, state_id: u32) -> Vec<u8> {
    client.state_auth(StateAuthRequest { state_id }).await.unwrap().state_auth_secret
}

async fn status<T: std::fmt::Debug>(
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Code {
    answer.await.unwrap_err().code()
}

#[test]
fn ids_are_of_one_counter_and_free_knows_no_wrong_one() {
    block_on(async {
        let mut client = client(Options::default()).await;
        let state_id = create(&mut client, true).await;
        let transaction = key_package(&mut client, "bob").await.transaction_id;
        let request = CreateExternalSignerRequest { cipher_suite: 1, identity: b"ds".to_vec() };
        let signer = client.create_external_signer(request).await.unwrap().signer_id;
        assert_eq!((transaction, signer), (state_id + 1, state_id + 2));
        for state_id in [0, transaction, state_id, state_id, u32::MAX] {
            client.free(FreeRequest { state_id }).await.unwrap();
        }
        let freed = status(client.state_auth(StateAuthRequest { state_id })).await;
        assert_eq!(freed, Code::NotFound);
    });
}

/// Before an actor has anything, its key is stored for nobody in particular.
#[test]
fn a_key_for_nobody_in_particular_is_everybodys() {
    block_on(async {
        let mut client = client(Options::default()).await;
        let [alice, bob] = pair(&mut client, true).await;
        let (psk_id, psk_secret) = (b"key".to_vec(), vec![1; 32]);
        let inject = ProposalDescription { psk_id: psk_id.clone(), ..words("externalPSK") };
        let request = by_value(alice, vec![inject]);
        assert_eq!(status(client.commit(request.clone())).await, Code::FailedPrecondition);
        let store = |state_or_transaction_id| StorePSKRequest {
            state_or_transaction_id,
            psk_id: psk_id.clone(),
            psk_secret: psk_secret.clone(),
        };
        assert_eq!(status(client.store_psk(store(77))).await, Code::NotFound);
        client.store_psk(store(0)).await.unwrap();
        let commit = client.commit(request).await.unwrap().commit;
        let found = confirm(&mut client, alice).await;
        let request = HandleCommitRequest { state_id: bob, commit, ..Default::default() };
        let followed = client.handle_commit(request).await.unwrap();
        assert_eq!(followed.epoch_authenticator, found);
    });
}

/// A Commit has the proposals that it is asked for: one's own is left out if it is not named, and if
/// one that is named does not fit, there is no Commit.
#[test]
fn a_commit_has_exactly_what_it_is_asked_for() {
    for encrypt in [false, true] {
        block_on(async {
            let mut client = client(Options::default()).await;
            let [alice, bob] = pair(&mut client, encrypt).await;
            let own = UpdateProposalRequest { state_id: alice };
            let own = client.update_proposal(own).await.unwrap().proposal;
            let other = UpdateProposalRequest { state_id: bob };
            let other = client.update_proposal(other).await.unwrap().proposal;
            let request = |by_reference| CommitRequest {
                state_id: alice,
                by_reference,
                ..CommitRequest::default()
            };
            // The committer can't commit its own Update.
            let both = client.commit(request(vec![own, other.clone()]));
            assert_eq!(status(both).await, Code::InvalidArgument);
            let made = client.commit(request(vec![other.clone()])).await.unwrap();
            let found = confirm(&mut client, alice).await;
            // Bob has his own proposal back, and has not seen Alice's.
            let (proposal, commit) = (vec![other], made.commit);
            let request = HandleCommitRequest { state_id: bob, proposal, commit };
            let followed = client.handle_commit(request).await.unwrap();
            assert_eq!(followed.epoch_authenticator, found);
        });
    }
}

/// One's own Commit comes back in the place of the word that it was accepted; whoever it removes is
/// told so, and has no secrets after it.
#[test]
fn an_own_commit_may_come_back_and_a_removed_member_is_told() {
    block_on(async {
        let mut client = client(Options::default()).await;
        let [alice, bob] = pair(&mut client, true).await;
        let remove = ProposalDescription { removed_id: b"bob".to_vec(), ..words("remove") };
        let commit = client.commit(by_value(alice, vec![remove])).await.unwrap().commit;
        let before = authenticator(&mut client, alice).await;
        let own = |state_id| HandleCommitRequest {
            state_id,
            commit: commit.clone(),
            ..HandleCommitRequest::default()
        };
        let after = client.handle_commit(own(alice)).await.unwrap().epoch_authenticator;
        assert_ne!(before, after);
        assert_eq!(status(client.handle_commit(own(alice))).await, Code::FailedPrecondition);
        assert_eq!(status(client.handle_commit(own(bob))).await, Code::FailedPrecondition);
        let request = StateAuthRequest { state_id: bob };
        assert_eq!(status(client.state_auth(request)).await, Code::FailedPrecondition);
        let request = ExportRequest { state_id: bob, key_length: 32, ..ExportRequest::default() };
        assert_eq!(status(client.export(request)).await, Code::FailedPrecondition);
    });
}

/// The formats of handshake messages are as they were asked for, and external ones always public.
#[test]
fn handshake_messages_have_the_format_that_was_asked_for() {
    for encrypt in [false, true] {
        block_on(async {
            let mut client = client(Options::default()).await;
            let [alice, bob] = pair(&mut client, encrypt).await;
            let request = UpdateProposalRequest { state_id: bob };
            let proposal = client.update_proposal(request).await.unwrap().proposal;
            let commit = client.commit(by_value(alice, Vec::new())).await.unwrap().commit;
            for message in [proposal, commit] {
                let private = matches!(read(&message), MlsMessage::Private(_));
                assert_eq!(private, encrypt);
            }
            let request = GroupInfoRequest { state_id: alice, external_tree: false };
            let group_info = client.group_info(request).await.unwrap().group_info;
            let request = ExternalJoinRequest {
                group_info,
                encrypt_handshake: encrypt,
                ..ExternalJoinRequest::default()
            };
            let commit = client.external_join(request).await.unwrap().commit;
            assert!(matches!(read(&commit), MlsMessage::Public(_)));
        });
    }
}

fn read(message: &[u8]) -> MlsMessage {
    MlsMessage::read(message, &DecodeContext::default()).unwrap()
}

#[test]
fn suites_and_grease_are_those_of_the_options() {
    block_on(async {
        for (grease, in_lists, in_extensions) in [
            (Grease::None, false, false),
            (Grease::Capabilities, true, false),
            (Grease::Everywhere, true, true),
        ] {
            let mut client =
                client(Options { grease, suites: vec![1, 3, 99], ..Options::default() }).await;
            let request = SupportedCiphersuitesRequest {};
            let suites = client.supported_ciphersuites(request).await.unwrap().ciphersuites;
            assert_eq!(suites, [1, 3]);
            let message = key_package(&mut client, "bob").await.key_package;
            let MlsMessage::KeyPackage(key_package) = read(&message) else { panic!() };
            let leaf = &key_package.leaf_node;
            let found = leaf.capabilities.cipher_suites.iter().any(|suite| is_grease(suite.0));
            assert_eq!(found, in_lists);
            let found = leaf.extensions.iter().any(|e| is_grease(e.extension_type.0));
            assert_eq!(found, in_extensions);
            let request = CreateKeyPackageRequest { cipher_suite: 2, identity: Vec::new() };
            let refused = status(client.create_key_package(request)).await;
            assert_eq!(refused, Code::InvalidArgument);
        }
    });
}
