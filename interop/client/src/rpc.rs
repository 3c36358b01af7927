//! The 34 methods of the service `mls_client.MLSClient`, in one table: the server's side and the
//! client's are made of it.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use prost::Message;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::proto::*;
use crate::server::{Fault, World};

/// The greatest message that either side reads, in bytes: a Welcome to hundreds of members has more
/// than the 4 MiB that are usual with gRPC.
const MESSAGE_BYTES: usize = 64 << 20;

type Answered<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

/// The service over a [`World`]; its clones share the world.
#[derive(Clone, Debug)]
pub struct Server {
    world: Arc<Mutex<World>>,
}

/// The other side: a stub for one server.
#[derive(Clone, Debug)]
pub struct Client {
    grpc: tonic::client::Grpc<Channel>,
}

/// A method's name, the function of [`World`] and the function of [`Client`], which are called the
/// same, and the messages.
macro_rules! methods {
    ($( $(#[$about:meta])* $rpc:ident $method:ident($request:ident) -> $response:ident; )*) => {
        /// The names of all methods.
        pub const METHODS: &[&str] = &[$(stringify!($rpc)),*];

        impl Client {
            $(
                $(#[$about])*
                ///
                /// # Errors
                /// The server's status, or that of the connection.
                pub async fn $method(&mut self, request: $request) -> Result<$response, Status> {
                    self.unary(concat!("/mls_client.MLSClient/", stringify!($rpc)), request).await
                }
            )*
        }

        impl Server {
            fn dispatch(self, request: http::Request<Body>) -> Answer {
                match request.uri().path() {
                    $(
                        concat!("/mls_client.MLSClient/", stringify!($rpc)) => {
                            self.unary(request, World::$method)
                        }
                    )*
                    _ => Box::pin(ready(Ok(Status::unimplemented("no such method").into_http()))),
                }
            }
        }
    };
}

methods! {
    /// Who the client is.
    Name name(NameRequest) -> NameResponse;
    /// The cipher suites that it has.
    SupportedCiphersuites supported_ciphersuites(SupportedCiphersuitesRequest)
        -> SupportedCiphersuitesResponse;
    /// Creates a group with one member.
    CreateGroup create_group(CreateGroupRequest) -> CreateGroupResponse;
    /// Makes a key package, for one join.
    CreateKeyPackage create_key_package(CreateKeyPackageRequest) -> CreateKeyPackageResponse;
    /// Joins by a Welcome.
    JoinGroup join_group(JoinGroupRequest) -> JoinGroupResponse;
    /// Joins by an external Commit, and is in the new epoch at once.
    ExternalJoin external_join(ExternalJoinRequest) -> ExternalJoinResponse;
    /// Describes the group, with the key for external joins.
    GroupInfo group_info(GroupInfoRequest) -> GroupInfoResponse;
    /// The epoch authenticator.
    StateAuth state_auth(StateAuthRequest) -> StateAuthResponse;
    /// The exporter.
    Export export(ExportRequest) -> ExportResponse;
    /// Encrypts application data.
    Protect protect(ProtectRequest) -> ProtectResponse;
    /// Decrypts application data.
    Unprotect unprotect(UnprotectRequest) -> UnprotectResponse;
    /// Hands over a pre-shared key.
    StorePSK store_psk(StorePSKRequest) -> StorePSKResponse;
    /// Proposes an Add.
    AddProposal add_proposal(AddProposalRequest) -> ProposalResponse;
    /// Proposes an Update.
    UpdateProposal update_proposal(UpdateProposalRequest) -> ProposalResponse;
    /// Proposes a Remove.
    RemoveProposal remove_proposal(RemoveProposalRequest) -> ProposalResponse;
    /// Proposes a PreSharedKey with an external key.
    ExternalPSKProposal external_psk_proposal(ExternalPSKProposalRequest) -> ProposalResponse;
    /// Proposes a PreSharedKey with the key of an epoch of this group.
    ResumptionPSKProposal resumption_psk_proposal(ResumptionPSKProposalRequest)
        -> ProposalResponse;
    /// Proposes GroupContextExtensions.
    GroupContextExtensionsProposal group_context_extensions_proposal(
        GroupContextExtensionsProposalRequest
    ) -> ProposalResponse;
    /// Makes a Commit of these proposals; it takes effect with `HandlePendingCommit`.
    Commit commit(CommitRequest) -> CommitResponse;
    /// Follows a Commit of another member or of somebody who joins by it.
    HandleCommit handle_commit(HandleCommitRequest) -> HandleCommitResponse;
    /// One's own Commit was accepted.
    HandlePendingCommit handle_pending_commit(HandlePendingCommitRequest) -> HandleCommitResponse;
    /// Proposes a ReInit.
    ReInitProposal reinit_proposal(ReInitProposalRequest) -> ProposalResponse;
    /// Makes a Commit of a ReInit.
    ReInitCommit reinit_commit(CommitRequest) -> CommitResponse;
    /// One's own Commit of a ReInit was accepted: a key package for the new group.
    HandlePendingReInitCommit handle_pending_reinit_commit(HandlePendingCommitRequest)
        -> HandleReInitCommitResponse;
    /// Follows another member's Commit of a ReInit: a key package for the new group.
    HandleReInitCommit handle_reinit_commit(HandleCommitRequest) -> HandleReInitCommitResponse;
    /// Creates the group that takes the place of the old one.
    ReInitWelcome reinit_welcome(ReInitWelcomeRequest) -> CreateSubgroupResponse;
    /// Joins the group that takes the place of the old one.
    HandleReInitWelcome handle_reinit_welcome(HandleReInitWelcomeRequest) -> JoinGroupResponse;
    /// Creates a group with members of this one.
    CreateBranch create_branch(CreateBranchRequest) -> CreateSubgroupResponse;
    /// Joins a group with members of this one.
    HandleBranch handle_branch(HandleBranchRequest) -> HandleBranchResponse;
    /// Proposes, as somebody who is no member, its own Add.
    NewMemberAddProposal new_member_add_proposal(NewMemberAddProposalRequest)
        -> NewMemberAddProposalResponse;
    /// Makes a key for proposals from outside.
    CreateExternalSigner create_external_signer(CreateExternalSignerRequest)
        -> CreateExternalSignerResponse;
    /// Proposes to let an external signer propose.
    AddExternalSigner add_external_signer(AddExternalSignerRequest) -> ProposalResponse;
    /// Proposes as an external signer.
    ExternalSignerProposal external_signer_proposal(ExternalSignerProposalRequest)
        -> ProposalResponse;
    /// Forgets a state.
    Free free(FreeRequest) -> FreeResponse;
}

impl Client {
    /// Over a channel to the server.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        let grpc = tonic::client::Grpc::new(channel);
        Self { grpc: grpc.max_decoding_message_size(MESSAGE_BYTES) }
    }

    /// Calls the method with this path, whatever the messages are.
    ///
    /// # Errors
    /// The server's status, or that of the connection.
    pub async fn unary<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let unready = |error: tonic::transport::Error| Status::unavailable(error.to_string());
        self.grpc.ready().await.map_err(unready)?;
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        Ok(self.grpc.unary(Request::new(request), path, codec).await?.into_inner())
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Never>> + Send>>;
type Never = std::convert::Infallible;

impl Server {
    /// The service over a world.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)) }
    }

    fn unary<Q, A>(self, request: http::Request<Body>, method: Method<Q, A>) -> Answer
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
    {
        Box::pin(async move {
            let grpc = tonic::server::Grpc::new(ProstCodec::<A, Q>::default());
            let mut grpc = grpc.max_decoding_message_size(MESSAGE_BYTES);
            Ok(grpc.unary(Call { world: self.world, method }, request).await)
        })
    }
}

impl Service<http::Request<Body>> for Server {
    type Response = http::Response<Body>;
    type Error = Never;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Never>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        self.clone().dispatch(request)
    }
}

type Method<Q, A> = fn(&mut World, Q) -> Result<A, Fault>;

/// One method of one world.
struct Call<Q, A> {
    world: Arc<Mutex<World>>,
    method: Method<Q, A>,
}

impl<Q: Send + 'static, A: Send + 'static> Service<Request<Q>> for Call<Q, A> {
    type Response = Response<A>;
    type Error = Status;
    type Future = Answered<Response<A>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    /// Computes on a thread of its own. Should it panic after all, the caller gets a status, and the
    /// world is as good as before: its states change in one step, after all that can fail.
    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (world, method) = (Arc::clone(&self.world), self.method);
        let compute = move || {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            method(&mut world, request.into_inner())
        };
        Box::pin(async move {
            match tokio::task::spawn_blocking(compute).await {
                Ok(answer) => Ok(Response::new(answer?)),
                Err(_) => Err(Status::internal("the call panicked")),
            }
        })
    }
}
