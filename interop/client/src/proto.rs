//! The messages of the working group's harness, proto3 package `mls_client`.
//!
//! They are few and flat, so that they stand here as they are, and no compiler for protocol buffers
//! is needed. Whoever adds a field takes number and type from the harness's `mls_client.proto`.

/// Messages with the number, name and type of each field, and what `prost` calls that type.
macro_rules! messages {
    ($(
        $(#[$about:meta])*
        $name:ident {
            $( $(#[$field_about:meta])* $tag:literal $field:ident: $type:ty [$($kind:tt)+], )*
        }
    )*) => {
        $(
            $(#[$about])*
            #[derive(Clone, PartialEq, Eq, prost::Message)]
            pub struct $name {
                $(
                    $(#[$field_about])*
                    #[prost($($kind)+, tag = $tag)]
                    pub $field: $type,
                )*
            }
        )*
    };
}

messages! {
    /// What `Name` asks for.
    NameRequest {}

    /// What `Name` gives.
    NameResponse {
        /// Free text.
        1 name: String [string],
    }

    /// What `SupportedCiphersuites` asks for.
    SupportedCiphersuitesRequest {}

    /// What `SupportedCiphersuites` gives.
    SupportedCiphersuitesResponse {
        /// Their code points.
        1 ciphersuites: Vec<u32> [uint32, repeated],
    }

    /// What `CreateGroup` asks for.
    CreateGroupRequest {
        /// The id of the group.
        1 group_id: Vec<u8> [bytes = "vec"],
        /// Its code point.
        2 cipher_suite: u32 [uint32],
        /// Whether this member's proposals and Commits are PrivateMessages.
        3 encrypt_handshake: bool [bool],
        /// Of the basic credential.
        4 identity: Vec<u8> [bytes = "vec"],
    }

    /// What `CreateGroup` gives.
    CreateGroupResponse {
        /// The state.
        1 state_id: u32 [uint32],
    }

    /// What `CreateKeyPackage` asks for.
    CreateKeyPackageRequest {
        /// Its code point.
        1 cipher_suite: u32 [uint32],
        /// Of the basic credential.
        2 identity: Vec<u8> [bytes = "vec"],
    }

    /// What `CreateKeyPackage` gives.
    CreateKeyPackageResponse {
        /// The pending join.
        1 transaction_id: u32 [uint32],
        /// An MLSMessage.
        2 key_package: Vec<u8> [bytes = "vec"],
        /// Private key, empty here.
        3 init_priv: Vec<u8> [bytes = "vec"],
        /// Private key, empty here.
        4 encryption_priv: Vec<u8> [bytes = "vec"],
        /// Private key, empty here.
        5 signature_priv: Vec<u8> [bytes = "vec"],
    }

    /// What `JoinGroup` asks for.
    JoinGroupRequest {
        /// The pending join.
        1 transaction_id: u32 [uint32],
        /// An MLSMessage, or nothing.
        2 welcome: Vec<u8> [bytes = "vec"],
        /// Whether this member's proposals and Commits are PrivateMessages.
        3 encrypt_handshake: bool [bool],
        /// Of the basic credential.
        4 identity: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        5 ratchet_tree: Vec<u8> [bytes = "vec"],
    }

    /// What `JoinGroup` and `HandleReInitWelcome` give.
    JoinGroupResponse {
        /// The state.
        1 state_id: u32 [uint32],
        /// Of the epoch that the call ends in.
        2 epoch_authenticator: Vec<u8> [bytes = "vec"],
    }

    /// An external pre-shared key.
    PreSharedKey {
        /// Names the key.
        1 psk_id: Vec<u8> [bytes = "vec"],
        /// The key.
        2 psk_secret: Vec<u8> [bytes = "vec"],
    }

    /// What `ExternalJoin` asks for.
    ExternalJoinRequest {
        /// An MLSMessage.
        1 group_info: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        2 ratchet_tree: Vec<u8> [bytes = "vec"],
        /// Whether this member's proposals and Commits are PrivateMessages.
        3 encrypt_handshake: bool [bool],
        /// Of the basic credential.
        4 identity: Vec<u8> [bytes = "vec"],
        /// Whether the old leaf with this identity is removed.
        5 remove_prior: bool [bool],
        /// To be injected, in this order.
        6 psks: Vec<PreSharedKey> [message, repeated],
    }

    /// What `ExternalJoin` gives.
    ExternalJoinResponse {
        /// The state.
        1 state_id: u32 [uint32],
        /// An MLSMessage.
        2 commit: Vec<u8> [bytes = "vec"],
        /// Of the epoch that the call ends in.
        3 epoch_authenticator: Vec<u8> [bytes = "vec"],
    }

    /// What `GroupInfo` asks for.
    GroupInfoRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// Whether the tree is a field of the response, and not in the GroupInfo.
        2 external_tree: bool [bool],
    }

    /// What `GroupInfo` gives.
    GroupInfoResponse {
        /// An MLSMessage.
        1 group_info: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        2 ratchet_tree: Vec<u8> [bytes = "vec"],
    }

    /// What `StateAuth` asks for.
    StateAuthRequest {
        /// The state.
        1 state_id: u32 [uint32],
    }

    /// What `StateAuth` gives.
    StateAuthResponse {
        /// The epoch authenticator.
        1 state_auth_secret: Vec<u8> [bytes = "vec"],
    }

    /// What `Export` asks for.
    ExportRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// The exporter's label.
        2 label: String [string],
        /// The exporter's context.
        3 context: Vec<u8> [bytes = "vec"],
        /// Length in bytes.
        4 key_length: u32 [uint32],
    }

    /// What `Export` gives.
    ExportResponse {
        /// The exported secret.
        1 exported_secret: Vec<u8> [bytes = "vec"],
    }

    /// What `Protect` asks for.
    ProtectRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// Authenticated and not encrypted.
        2 authenticated_data: Vec<u8> [bytes = "vec"],
        /// The application data.
        3 plaintext: Vec<u8> [bytes = "vec"],
    }

    /// What `Protect` gives.
    ProtectResponse {
        /// An MLSMessage.
        1 ciphertext: Vec<u8> [bytes = "vec"],
    }

    /// What `Unprotect` asks for.
    UnprotectRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// An MLSMessage.
        2 ciphertext: Vec<u8> [bytes = "vec"],
    }

    /// What `Unprotect` gives.
    UnprotectResponse {
        /// Authenticated and not encrypted.
        1 authenticated_data: Vec<u8> [bytes = "vec"],
        /// The application data.
        2 plaintext: Vec<u8> [bytes = "vec"],
    }

    /// What `StorePSK` asks for.
    StorePSKRequest {
        /// A state, a pending join, or 0.
        1 state_or_transaction_id: u32 [uint32],
        /// Names the key.
        2 psk_id: Vec<u8> [bytes = "vec"],
        /// The key.
        3 psk_secret: Vec<u8> [bytes = "vec"],
    }

    /// What `StorePSK` gives.
    StorePSKResponse {}

    /// What `AddProposal` asks for.
    AddProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// An MLSMessage.
        2 key_package: Vec<u8> [bytes = "vec"],
    }

    /// A proposal.
    ProposalResponse {
        /// An MLSMessage.
        1 proposal: Vec<u8> [bytes = "vec"],
    }

    /// What `UpdateProposal` asks for.
    UpdateProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
    }

    /// What `RemoveProposal` asks for.
    RemoveProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// The identity of the member.
        2 removed_id: Vec<u8> [bytes = "vec"],
    }

    /// What `ExternalPSKProposal` asks for.
    ExternalPSKProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// Names the key.
        2 psk_id: Vec<u8> [bytes = "vec"],
    }

    /// What `ResumptionPSKProposal` asks for.
    ResumptionPSKProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// The epoch.
        2 epoch_id: u64 [uint64],
    }

    /// An extension of a GroupContext.
    Extension {
        /// Its code point.
        1 extension_type: u32 [uint32],
        /// Its content.
        2 extension_data: Vec<u8> [bytes = "vec"],
    }

    /// What `GroupContextExtensionsProposal` asks for.
    GroupContextExtensionsProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// All of them.
        2 extensions: Vec<Extension> [message, repeated],
    }

    /// A proposal in words; which fields count depends on the type.
    ProposalDescription {
        /// The name of the type.
        1 proposal_type: Vec<u8> [bytes = "vec"],
        /// An MLSMessage.
        2 key_package: Vec<u8> [bytes = "vec"],
        /// The identity of the member.
        3 removed_id: Vec<u8> [bytes = "vec"],
        /// Names the key.
        4 psk_id: Vec<u8> [bytes = "vec"],
        /// The epoch.
        5 epoch_id: u64 [uint64],
        /// All of them.
        6 extensions: Vec<Extension> [message, repeated],
        /// The id of the group.
        7 group_id: Vec<u8> [bytes = "vec"],
        /// Its code point.
        8 cipher_suite: u32 [uint32],
    }

    /// What `Commit` and `ReInitCommit` ask for.
    CommitRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// Proposals, as MLSMessages.
        2 by_reference: Vec<Vec<u8>> [bytes = "vec", repeated],
        /// Further proposals of the committer.
        3 by_value: Vec<ProposalDescription> [message, repeated],
        /// Whether there is a path where it could be left out.
        4 force_path: bool [bool],
        /// Whether the tree is a field of the response, and not in the GroupInfo.
        5 external_tree: bool [bool],
    }

    /// What `Commit` and `ReInitCommit` give.
    CommitResponse {
        /// An MLSMessage.
        1 commit: Vec<u8> [bytes = "vec"],
        /// An MLSMessage, or nothing.
        2 welcome: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        3 ratchet_tree: Vec<u8> [bytes = "vec"],
    }

    /// What `HandleCommit` and `HandleReInitCommit` ask for.
    HandleCommitRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// Those that the Commit refers to, as MLSMessages.
        2 proposal: Vec<Vec<u8>> [bytes = "vec", repeated],
        /// An MLSMessage.
        3 commit: Vec<u8> [bytes = "vec"],
    }

    /// What `HandleCommit` and `HandlePendingCommit` give.
    HandleCommitResponse {
        /// The state.
        1 state_id: u32 [uint32],
        /// Of the epoch that the call ends in.
        2 epoch_authenticator: Vec<u8> [bytes = "vec"],
    }

    /// What `HandlePendingCommit` and `HandlePendingReInitCommit` ask for.
    HandlePendingCommitRequest {
        /// The state.
        1 state_id: u32 [uint32],
    }

    /// What `ReInitProposal` asks for.
    ReInitProposalRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// The code point of the new group's suite.
        2 cipher_suite: u32 [uint32],
        /// The id of the new group.
        3 group_id: Vec<u8> [bytes = "vec"],
        /// All of them.
        4 extensions: Vec<Extension> [message, repeated],
    }

    /// What `HandleReInitCommit` and `HandlePendingReInitCommit` give.
    HandleReInitCommitResponse {
        /// The group that is to be continued.
        1 reinit_id: u32 [uint32],
        /// For the new group, an MLSMessage.
        2 key_package: Vec<u8> [bytes = "vec"],
        /// Of the old group's last epoch.
        3 epoch_authenticator: Vec<u8> [bytes = "vec"],
    }

    /// What `ReInitWelcome` asks for.
    ReInitWelcomeRequest {
        /// The group that is to be continued.
        1 reinit_id: u32 [uint32],
        /// Those of all other members, as MLSMessages.
        2 key_package: Vec<Vec<u8>> [bytes = "vec", repeated],
        /// Whether there is a path where it could be left out.
        3 force_path: bool [bool],
        /// Whether the tree is a field of the response, and not in the GroupInfo.
        4 external_tree: bool [bool],
    }

    /// What `ReInitWelcome` and `CreateBranch` give.
    CreateSubgroupResponse {
        /// The state.
        1 state_id: u32 [uint32],
        /// An MLSMessage, or nothing.
        2 welcome: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        3 ratchet_tree: Vec<u8> [bytes = "vec"],
        /// Of the epoch that the call ends in.
        4 epoch_authenticator: Vec<u8> [bytes = "vec"],
    }

    /// What `HandleReInitWelcome` asks for.
    HandleReInitWelcomeRequest {
        /// The group that is to be continued.
        1 reinit_id: u32 [uint32],
        /// An MLSMessage, or nothing.
        2 welcome: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        3 ratchet_tree: Vec<u8> [bytes = "vec"],
    }

    /// What `CreateBranch` asks for.
    CreateBranchRequest {
        /// The state in the old group.
        1 state_id: u32 [uint32],
        /// The id of the branch.
        2 group_id: Vec<u8> [bytes = "vec"],
        /// All of them.
        3 extensions: Vec<Extension> [message, repeated],
        /// MLSMessages.
        4 key_packages: Vec<Vec<u8>> [bytes = "vec", repeated],
        /// Whether there is a path where it could be left out.
        5 force_path: bool [bool],
        /// Whether the tree is a field of the response, and not in the GroupInfo.
        6 external_tree: bool [bool],
    }

    /// What `HandleBranch` asks for.
    HandleBranchRequest {
        /// The state in the old group.
        1 state_id: u32 [uint32],
        /// The pending join.
        2 transaction_id: u32 [uint32],
        /// An MLSMessage, or nothing.
        3 welcome: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        4 ratchet_tree: Vec<u8> [bytes = "vec"],
    }

    /// What `HandleBranch` gives.
    HandleBranchResponse {
        /// The state.
        1 state_id: u32 [uint32],
        /// Of the epoch that the call ends in.
        2 epoch_authenticator: Vec<u8> [bytes = "vec"],
    }

    /// What `NewMemberAddProposal` asks for.
    NewMemberAddProposalRequest {
        /// An MLSMessage.
        1 group_info: Vec<u8> [bytes = "vec"],
        /// Of the basic credential.
        2 identity: Vec<u8> [bytes = "vec"],
    }

    /// What `NewMemberAddProposal` gives.
    NewMemberAddProposalResponse {
        /// The pending join.
        1 transaction_id: u32 [uint32],
        /// An MLSMessage.
        2 proposal: Vec<u8> [bytes = "vec"],
        /// Private key, empty here.
        3 init_priv: Vec<u8> [bytes = "vec"],
        /// Private key, empty here.
        4 encryption_priv: Vec<u8> [bytes = "vec"],
        /// Private key, empty here.
        5 signature_priv: Vec<u8> [bytes = "vec"],
    }

    /// What `CreateExternalSigner` asks for.
    CreateExternalSignerRequest {
        /// Its code point.
        1 cipher_suite: u32 [uint32],
        /// Of the basic credential.
        2 identity: Vec<u8> [bytes = "vec"],
    }

    /// What `CreateExternalSigner` gives.
    CreateExternalSignerResponse {
        /// The external signer.
        1 signer_id: u32 [uint32],
        /// An ExternalSender as in the external_senders extension.
        2 external_sender: Vec<u8> [bytes = "vec"],
    }

    /// What `AddExternalSigner` asks for.
    AddExternalSignerRequest {
        /// The state.
        1 state_id: u32 [uint32],
        /// An ExternalSender as in the external_senders extension.
        2 external_sender: Vec<u8> [bytes = "vec"],
    }

    /// Not used by the service.
    AddExternalSignerResponse {
        /// An MLSMessage.
        1 proposal: Vec<u8> [bytes = "vec"],
        /// Its place in the external_senders extension; the runner always says 0.
        2 signer_index: u32 [uint32],
    }

    /// What `ExternalSignerProposal` asks for.
    ExternalSignerProposalRequest {
        /// The external signer.
        1 signer_id: u32 [uint32],
        /// Its place in the external_senders extension; the runner always says 0.
        2 signer_index: u32 [uint32],
        /// An MLSMessage.
        3 group_info: Vec<u8> [bytes = "vec"],
        /// As in the ratchet_tree extension, or nothing.
        4 ratchet_tree: Vec<u8> [bytes = "vec"],
        /// What to propose.
        5 description: Option<ProposalDescription> [message, optional],
    }

    /// What `Free` asks for.
    FreeRequest {
        /// The state.
        1 state_id: u32 [uint32],
    }

    /// What `Free` gives.
    FreeResponse {}
}
