use std::fmt;

use crate::mutation::off;

/// Defines [`Violation`]: per line the variant, the id of its rule in the conformance table, the
/// section of RFC 9420 and what was wrong.
macro_rules! violations {
    ($($name:ident $id:literal $section:literal $message:literal;)*) => {
        /// A rule of RFC 9420 that a peer broke: one variant per rule.
        ///
        /// ```
        /// use circlet::rules::Violation;
        /// assert_eq!(Violation::ConfirmationTag.id(), "V-6.1-08");
        /// assert_eq!(Violation::ConfirmationTag.section(), "6.1");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Violation {
            $(
                #[doc = concat!("Section ", $section, ": ", $message, ".")]
                $name,
            )*
        }

        impl Violation {
            /// The rule's id in the conformance table.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }

            /// The section of RFC 9420 that states the rule.
            #[must_use]
            pub fn section(self) -> &'static str {
                match self {
                    $(Self::$name => $section,)*
                }
            }

            fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }
        }
    };
}

violations! {
    MalformedExtension "V-2.0-03" "2" "the data of an extension of the RFC is malformed";
    InvalidHpkeKey "V-5.1.1-01" "5.1.1" "a public key for encryption is not one of the cipher suite";
    InvalidSignatureKey "V-5.1.1-02" "5.1.1" "a public key for signatures is not one of the cipher suite";

    PublicApplicationMessage "V-6.0-01" "6" "application data came in a PublicMessage";
    UnknownSender "V-6.1-03" "6.1" "the sender is no member of the group";
    SenderTypeForbidden "V-6.0-05" "6" "the sender type does not fit the content or wire format";
    ContentSignature "V-6.1-07" "6.1" "the signature of the content is invalid";
    ConfirmationTag "V-6.1-08" "6.1" "the confirmation tag of a Commit is wrong";
    MembershipTag "V-6.2-02" "6.2" "the membership tag of a PublicMessage is wrong";
    SenderDataLeaf "V-6.3.2-04" "6.3.2" "the sender data names a leaf that is blank";
    SenderDataDecryption "V-6.3.2-03" "6.3.2" "the sender data can't be decrypted";
    ContentDecryption "V-6.3-01" "6.3" "the content can't be decrypted";
    RatchetExhausted "V-9.1-03" "9.1" "a generation is past the end of its ratchet";

    UnmergedLeavesOrder "V-7.1-01" "7.1" "unmerged leaves are not in ascending order";
    CredentialNotInCapabilities "V-7.2-05" "7.2" "a leaf's credential type is not in its capabilities";
    CipherSuiteNotInCapabilities "V-7.2-06" "7.2" "a leaf does not support the group's cipher suite or version";
    LifetimeInverted "V-7.2-09" "7.2" "a lifetime ends before it begins";
    LeafSignature "V-7.3-02" "7.3" "the signature of a leaf is invalid";
    RequiredCapabilities "V-7.3-03" "7.3" "a leaf lacks a required capability";
    CredentialNotSupported "V-7.3-05" "7.3" "a credential type is not supported by every member";
    Lifetime "V-7.3-08" "7.3" "a leaf's lifetime does not include the present";
    LeafExtensionNotInCapabilities "V-7.3-09" "7.3" "a leaf's extension is not in its capabilities";
    KeyPackageLeafSource "V-7.3-10" "7.3" "the leaf of a KeyPackage has another source";
    UpdateLeafSource "V-7.3-11" "7.3" "the leaf of an Update has another source";
    UpdateKeepsEncryptionKey "V-12.1.2-01" "7.3" "an Update keeps the leaf's encryption key";
    PathLeafSource "V-7.3-12" "7.3" "the leaf of an UpdatePath has another source";
    DuplicateSignatureKey "V-7.3-13" "7.3" "two members have the same signature key";
    DuplicateEncryptionKey "V-12.2-16" "7.3" "two leaves have the same encryption key";
    KeyOfBothKinds "V-16.0-04" "16.7" "a signature key is an encryption key in the same tree";
    PathParentHash "V-7.5-05" "7.5" "the parent hash of an UpdatePath's leaf is wrong";
    PathPublicKey "V-7.5-06" "7.5" "a path secret does not give the public key of its node";
    PathLength "V-7.6-01" "7.6" "an UpdatePath has more or fewer nodes than the filtered direct path";
    PathCiphertexts "V-7.6-02" "7.6" "a path node has more or fewer ciphertexts than recipients";
    PathDecryption "V-7.6-04" "7.6" "a path secret can't be decrypted";
    ParentHash "V-7.9-03" "7.9.2" "a parent node is not parent-hash valid";

    EpochOverflow "V-8.1-02" "8.1" "the epoch can't grow any further";
    GroupContextVersion "V-8.1-05" "8.1" "the group's version or cipher suite is not the expected one";
    PskCount "V-8.4-04" "8.4" "more pre-shared keys than can be counted";

    KeyPackageSignature "V-10.1-03" "10.1" "the signature of a KeyPackage is invalid";
    KeyPackageSuite "V-10.1-01" "10.1" "a KeyPackage is of another cipher suite or version";
    KeyPackageInitKey "V-10.1-04" "10.1" "a KeyPackage's init key is its leaf's encryption key";

    ReInitParameters "V-11.2-01" "11.2" "a re-initialized group is not what the ReInit says";
    ReInitPsk "V-11.2-02" "11.2" "the PSK of a re-initialized group is not of the epoch that a ReInit began";
    ReInitMembers "V-11.2-05" "12.4.3.1" "a re-initialized group has other members than the old one";
    BranchParameters "V-11.3-02" "11.3" "a branch is of another cipher suite or version than the old group";
    BranchMembers "V-11.3-02" "11.3" "a branch has a member that the old group does not have";

    ExternalUpdate "V-12.1.2-02" "12.1.2" "an Update was sent by somebody who is no member";
    RemoveOfBlank "V-12.1.3-01" "12.1.3" "a Remove names a leaf that is blank";
    PskUsage "V-12.1.4-01" "12.1.4" "a resumption PSK's usage does not fit";
    PskNonce "V-12.1.4-02" "12.1.4" "a PSK's nonce has the wrong length";
    ReInitVersion "V-12.1.5-01" "12.1.5" "a ReInit goes to an older version";
    ExternalInitOutput "V-12.1.6-02" "12.1.6" "the KEM output of an ExternalInit is not one of the cipher suite";
    ExternalInitInMemberCommit "V-12.2-14" "12.2" "a member's Commit has an ExternalInit";
    GroupContextRequirements "V-12.1.7-01" "12.1.7" "new GroupContext extensions require what a member lacks";
    GroupContextExtensionSupport "V-12.1.7-03" "13.4" "a GroupContext extension is not supported by every member";
    GroupContextExtensionType "V-12.1.7-05" "13.4" "an extension has no place in a GroupContext";
    ExternalSenderUnknown "V-12.1.8-02" "12.1.8" "there is no such external sender";
    ExternalProposalType "V-12.1.8-03" "12.1.8" "an external sender may not send such a proposal";
    NewMemberProposalType "V-6.1-06" "6.1" "a new member may only propose its own Add";

    CommitterUpdates "V-12.2-03" "12.2" "a Commit has an Update of the committer";
    CommitterRemoved "V-12.2-04" "12.2" "a Commit removes the committer";
    LeafTwice "V-12.2-05" "12.2" "a Commit has more than one Update or Remove of a leaf";
    AddedTwice "V-12.2-07" "12.2" "a Commit adds a client twice";
    AddedMember "V-12.2-08" "12.2" "a Commit adds a client that is a member";
    PskTwice "V-12.2-09" "12.2" "a Commit has a pre-shared key twice";
    GroupContextExtensionsTwice "V-12.2-11" "12.2" "a Commit has more than one GroupContextExtensions";
    ReInitNotAlone "V-12.2-12" "12.2" "a Commit has a ReInit with other proposals";
    ProposalTypeNotSupported "V-12.2-15" "12.2" "a proposal type is not supported by every member";
    ReferenceTwice "V-12.2-18" "12.2" "a Commit refers to a proposal twice";
    ExternalInitCount "V-12.2-20" "12.2" "an external Commit has no ExternalInit, or more than one";
    ExternalCommitRemoves "V-12.2-21" "12.2" "an external Commit removes more than one leaf";
    ExternalCommitProposal "V-12.2-22" "12.2" "an external Commit has a proposal of a type that it may not have";
    ExternalCommitReference "V-12.2-23" "12.4.3.2" "an external Commit has a proposal by reference";
    PathMissing "V-12.4-04" "12.4" "a Commit has no path though its proposals require one";
    PathKeyReused "V-12.4.2-10" "12.4.2" "a public key of an UpdatePath is in the tree or in the path already";
    PathKeepsEncryptionKey "V-12.4.2-09" "12.4.2" "an UpdatePath keeps the leaf's encryption key";

    GroupInfoSignature "V-12.4.3-04" "12.4.3" "the signature of a GroupInfo is invalid";
    GroupInfoSigner "V-12.4.3-05" "12.4.3" "the signer of a GroupInfo is no member, or the joiner";
    WelcomeSecretLength "V-12.4.3.1-08" "12.4.3.1" "a secret in a Welcome has the wrong length";
    WelcomeDecryption "V-12.4.3.1-04" "12.4.3.1" "a Welcome can't be decrypted";
    WelcomePskUsage "V-12.4.3.1-06" "12.4.3.1" "a Welcome has more than one PSK for re-initialization or branching";
    SubgroupEpoch "V-12.4.3.1-24" "12.4.3.1" "a group that continues another is not in epoch 1";
    WelcomeCipherSuite "V-12.4.3.1-11" "12.4.3.1" "a Welcome's GroupInfo is of another cipher suite or version";
    TreeHash "V-12.4.3.1-12" "12.4.3.1" "the tree does not have the hash in the GroupContext";
    UnmergedLeafMisplaced "V-12.4.3.1-15" "12.4.3.1" "an unmerged leaf is blank or not below its node";
    UnmergedLeafSkipped "V-12.4.3.1-16" "12.4.3.1" "a node between an unmerged leaf and its ancestor does not list it";
    ParentKeyReused "V-12.4.3.1-17" "12.4.3.1" "a parent's encryption key is in the tree twice";
    OwnLeafMissing "V-12.4.3.1-18" "12.4.3.1" "the tree does not have the joiner's leaf";
    WelcomePathSecret "V-12.4.3.1-20" "12.4.3.1" "a Welcome's path secret does not fit the tree";
    GroupContextExtensionUnknown "V-12.4.3-02" "12.4.3" "the joiner does not support a GroupContext extension";
    ExternalPub "V-12.4.3.2-01" "12.4.3.2" "a GroupInfo for an external join has no valid external_pub";
    TreeTrailingBlank "V-12.4.3.3-02" "12.4.3.3" "a ratchet tree ends with a blank node";
    TreeNodeKind "V-12.4.3.3-03" "12.4.3.3" "a leaf stands in a parent's place, or a parent in a leaf's";
    ExtensionMisplaced "V-13.0-09" "13.4" "an extension is where its type does not belong";
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (RFC 9420 section {}, {})", self.message(), self.section(), self.id())
    }
}

impl std::error::Error for Violation {}

/// A rule: this violation, unless it holds.
pub(crate) fn ensure(holds: bool, violation: Violation) -> Result<(), Violation> {
    ensure_row(violation.id(), holds, violation)
}

/// A rule of another row of the conformance table than the violation's own.
pub(crate) fn ensure_row(
    row: &'static str,
    holds: bool,
    violation: Violation,
) -> Result<(), Violation> {
    if holds || off(row) { Ok(()) } else { Err(violation) }
}
