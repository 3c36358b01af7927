//! What a member of a group does, whoever wrote it.

use std::fmt;

/// A library whose members take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// This project.
    Circlet,
    /// <https://openmls.tech>.
    OpenMls,
    /// <https://github.com/awslabs/mls-rs>.
    MlsRs,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Circlet, Self::OpenMls, Self::MlsRs];

    /// The name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Circlet => "circlet",
            Self::OpenMls => "openmls",
            Self::MlsRs => "mls-rs",
        }
    }

    /// The peer of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a member did not do what it was asked to, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl Fault {
    /// From a library's own error.
    pub fn of(error: impl fmt::Debug) -> Self {
        Self(format!("{error:?}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// How members of one group are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The cipher suite's number.
    pub suite: u16,
    /// Whether proposals and Commits are signed only, not encrypted.
    pub public_handshakes: bool,
    /// Whether messages are padded.
    pub padding: bool,
    /// Whether Circlet puts GREASE into extensions too, not only into lists of capabilities.
    pub grease_extensions: bool,
    /// An extension type that every member supports beside the RFC's.
    pub extension_type: u16,
    /// Whether leaves have an application_id.
    pub application_ids: bool,
    /// What Circlet's randomness begins with.
    pub seed: u64,
}

/// A proposal, by value or by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// Adds the client of this KeyPackage, an encoded MLSMessage.
    Add(Vec<u8>),
    /// Adds whoever proposes it, who is no member ([`Member::ask`]).
    OwnAdd,
    /// Removes the member at this leaf.
    Remove(u32),
    /// Renews the proposer's own leaf, with a new signature key or not. By reference only.
    Update {
        /// Whether the signature key is new too.
        new_key: bool,
    },
    /// Injects the external PSK of this id.
    Psk(Vec<u8>),
    /// Injects the resumption PSK of this group's epoch.
    ResumptionPsk(u64),
    /// Replaces the group's extensions by these: type and data.
    Extensions(Vec<(u16, Vec<u8>)>),
    /// Closes the group in favour of one of this id with these extensions, of the same suite.
    ReInit {
        /// The new group's id.
        group_id: Vec<u8>,
        /// Its extensions: type and data.
        extensions: Vec<(u16, Vec<u8>)>,
    },
}

impl Proposal {
    /// Whether it adds a member.
    #[must_use]
    pub fn adds(&self) -> bool {
        matches!(self, Self::Add(_) | Self::OwnAdd)
    }
}

/// What a Commit is to be.
#[derive(Clone, Debug, Default)]
pub struct CommitPlan {
    /// Proposals by value.
    pub by_value: Vec<Proposal>,
    /// Whether the committer's path is left out where it may be.
    pub without_path: bool,
    /// Whether the committer gets a new signature key.
    pub new_key: bool,
    /// Whether the Welcome has the ratchet tree inside.
    pub tree_inside: bool,
    /// The authenticated data.
    pub authenticated_data: Vec<u8>,
}

/// How to join by an external Commit.
#[derive(Clone, Debug, Default)]
pub struct ExternalJoin {
    /// The GroupInfo, an encoded MLSMessage.
    pub group_info: Vec<u8>,
    /// The ratchet tree, where it is not inside.
    pub ratchet_tree: Option<Vec<u8>>,
    /// The joiner's own old leaf, to be removed.
    pub replaces: Option<u32>,
    /// External PSKs to inject, by id.
    pub psks: Vec<Vec<u8>>,
    /// The epoch of this group whose resumption PSK is to be injected.
    pub resumption: Option<u64>,
}

/// What a received message meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Application data.
    Message {
        /// The sender's leaf; `None` where the library does not tell it.
        sender: Option<u32>,
        /// The data.
        data: Vec<u8>,
        /// The authenticated data.
        authenticated_data: Vec<u8>,
    },
    /// A proposal waits now.
    Proposal,
    /// The message was received before, or says what another has said.
    Nothing,
    /// A new epoch has begun.
    Commit,
    /// The Commit has removed this member.
    Removed,
}

/// What all members of an epoch have to agree on.
#[derive(Clone, PartialEq, Eq)]
pub struct View {
    /// The epoch's number.
    pub epoch: u64,
    /// The epoch authenticator (RFC 9420 section 8.7).
    pub authenticator: Vec<u8>,
    /// An exported secret (section 8.5).
    pub exported: Vec<u8>,
    /// The members: leaf index, identity, signature key.
    pub roster: Vec<(u32, Vec<u8>, Vec<u8>)>,
    /// The ratchet tree, encoded (section 12.4.3.3).
    pub ratchet_tree: Vec<u8>,
    /// The group's extensions: type and data.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl View {
    /// The label that [`View::exported`] is exported with.
    pub const LABEL: &'static str = "mixed";
    /// The context that [`View::exported`] is exported with.
    pub const CONTEXT: &'static [u8] = b"of all members";
    /// The length of [`View::exported`] in bytes.
    pub const LENGTH: usize = 40;

    /// The leaf of the member of that name.
    #[must_use]
    pub fn leaf_of(&self, name: &str) -> Option<u32> {
        let found = self.roster.iter().find(|(_, identity, _)| identity == name.as_bytes());
        found.map(|(leaf, _, _)| *leaf)
    }

    /// The first thing in which two views differ.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let pairs = [
            ("epoch", self.epoch == other.epoch),
            ("roster", self.roster == other.roster),
            ("extensions", self.extensions == other.extensions),
            ("ratchet tree", self.ratchet_tree == other.ratchet_tree),
            ("epoch authenticator", self.authenticator == other.authenticator),
            ("exported secret", self.exported == other.exported),
        ];
        pairs.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}

/// A client that is in one group at most.
pub trait Member {
    /// Whose library it is.
    fn peer(&self) -> Peer;

    /// A fresh KeyPackage, an encoded MLSMessage.
    ///
    /// # Errors
    /// The library's.
    fn key_package(&mut self) -> Result<Vec<u8>, Fault>;

    /// Keeps an external PSK.
    ///
    /// # Errors
    /// The library's.
    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), Fault>;

    /// Creates the group, as its only member.
    ///
    /// # Errors
    /// The library's.
    fn create(&mut self, group_id: &[u8]) -> Result<(), Fault>;

    /// Joins by a Welcome, an encoded MLSMessage, with the ratchet tree beside if it is not inside.
    ///
    /// # Errors
    /// The library's.
    fn join(&mut self, welcome: &[u8], ratchet_tree: Option<&[u8]>) -> Result<(), Fault>;

    /// Makes an external Commit, which waits for [`Member::accepted`] or [`Member::refused`]. An
    /// old state of the group is given up.
    ///
    /// # Errors
    /// The library's.
    fn join_externally(&mut self, join: &ExternalJoin) -> Result<Vec<u8>, Fault>;

    /// Proposes by a message to all.
    ///
    /// # Errors
    /// The library's.
    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, Fault>;

    /// Stages a Commit of all proposals that wait and those of the plan.
    ///
    /// # Errors
    /// The library's.
    fn commit(&mut self, plan: &CommitPlan) -> Result<Vec<u8>, Fault>;

    /// The staged Commit has won: its epoch begins. Gives the Welcome if anybody was added.
    ///
    /// # Errors
    /// The library's.
    fn accepted(&mut self) -> Result<Option<Vec<u8>>, Fault>;

    /// The staged Commit has lost.
    ///
    /// # Errors
    /// The library's.
    fn refused(&mut self) -> Result<(), Fault>;

    /// Asks from outside to be added to the group of this id and GroupInfo, with the tree inside,
    /// in this epoch: a proposal.
    ///
    /// # Errors
    /// The library's.
    fn ask(&mut self, group_id: &[u8], epoch: u64, group_info: &[u8]) -> Result<Vec<u8>, Fault>;

    /// A fresh KeyPackage for the group that takes the place of one that is closed.
    ///
    /// # Errors
    /// The library's.
    fn successor_key_package(&mut self) -> Result<Vec<u8>, Fault>;

    /// Creates the group that takes the place of one that is closed, with all other members'
    /// KeyPackages. Gives the Welcome, with the tree inside.
    ///
    /// # Errors
    /// The library's.
    fn create_successor(&mut self, key_packages: &[Vec<u8>]) -> Result<Vec<u8>, Fault>;

    /// Joins the group that takes the place of one that is closed.
    ///
    /// # Errors
    /// The library's.
    fn join_successor(&mut self, welcome: &[u8]) -> Result<(), Fault>;

    /// Creates a branch, with the KeyPackages of some other members, and goes there. Gives the
    /// Welcome, with the tree inside.
    ///
    /// # Errors
    /// The library's.
    fn create_branch(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
    ) -> Result<Vec<u8>, Fault>;

    /// Joins a branch and goes there.
    ///
    /// # Errors
    /// The library's.
    fn join_branch(&mut self, welcome: &[u8]) -> Result<(), Fault>;

    /// Leaves a branch for good and goes back to the group.
    fn leave_branch(&mut self);

    /// Takes a message of the group.
    ///
    /// # Errors
    /// The library's.
    fn receive(&mut self, message: &[u8]) -> Result<Event, Fault>;

    /// Encrypts application data.
    ///
    /// # Errors
    /// The library's.
    fn send(&mut self, data: &[u8], authenticated_data: &[u8]) -> Result<Vec<u8>, Fault>;

    /// A GroupInfo for external joins, an encoded MLSMessage, with the tree inside or not.
    ///
    /// # Errors
    /// The library's.
    fn group_info(&mut self, tree_inside: bool) -> Result<Vec<u8>, Fault>;

    /// What this member sees of its epoch.
    ///
    /// # Errors
    /// The library's.
    fn view(&mut self) -> Result<View, Fault>;
}
