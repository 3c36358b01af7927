//! What the RFC says of each pair: who may send what (sections 12.1 and 12.1.8), which lists are
//! invalid (section 12.2), and what a committer prefers (sections 12.2 and 12.4). Nothing here is
//! asked of the library.

use circlet::rules::Violation;

/// The leaves of the group.
pub(crate) const COMMITTER: u32 = 0;
pub(crate) const FIRST: u32 = 1;
pub(crate) const SECOND: u32 = 2;
pub(crate) const RECEIVER: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Add,
    Update,
    Remove,
    /// A Remove of the committer.
    RemoveCommitter,
    PreSharedKey,
    ReInit,
    ExternalInit,
    GroupContextExtensions,
    /// A registered type that external senders may send.
    Custom,
}

pub(crate) const KINDS: [Kind; 9] = [
    Kind::Add,
    Kind::Update,
    Kind::Remove,
    Kind::RemoveCommitter,
    Kind::PreSharedKey,
    Kind::ReInit,
    Kind::ExternalInit,
    Kind::GroupContextExtensions,
    Kind::Custom,
];

/// A client that is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// The one at [`SECOND`], which is a member already.
    Member,
    Dora,
    Emil,
}

/// What is proposed. Numbers tell values of one type apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    Add {
        client: Client,
        key_package: usize,
    },
    Update {
        other_member: bool,
        version: u8,
    },
    Remove(u32),
    PreSharedKey {
        id: u8,
        nonce: u8,
    },
    ReInit(u8),
    ExternalInit(u8),
    GroupContextExtensions(u8),
    Custom(u8),
    /// A registered type that external senders may not send.
    MembersOnly,
}

/// How a proposal gets into a Commit: by value, or by reference to one that somebody sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Value,
    /// Sent by the committer.
    Own,
    /// Sent by another member.
    Member(u32),
    /// Sent by an external sender of the group.
    External,
    /// Sent by somebody who wants to be a member.
    NewMember,
}

pub(crate) const WAYS: [Way; 5] =
    [Way::Value, Way::Own, Way::Member(FIRST), Way::External, Way::NewMember];

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) content: Content,
    pub(crate) way: Way,
    /// 0 or 1: which of the two it is, and so which was sent first.
    pub(crate) place: usize,
}

impl Kind {
    /// The type where nothing depends on which one it is.
    pub(crate) fn content(self) -> Content {
        match self {
            Self::Add => Content::Add { client: Client::Dora, key_package: 0 },
            Self::Update => Content::Update { other_member: false, version: 0 },
            Self::Remove => Content::Remove(SECOND),
            Self::RemoveCommitter => Content::Remove(COMMITTER),
            Self::PreSharedKey => Content::PreSharedKey { id: 1, nonce: 1 },
            Self::ReInit => Content::ReInit(1),
            Self::ExternalInit => Content::ExternalInit(1),
            Self::GroupContextExtensions => Content::GroupContextExtensions(1),
            Self::Custom => Content::Custom(1),
        }
    }

    /// What stands beside the content above when both are of this type: the same, and others.
    fn beside_itself(self) -> Vec<Content> {
        let same = self.content();
        match self {
            Self::Add => vec![
                same,
                Content::Add { client: Client::Dora, key_package: 1 },
                Content::Add { client: Client::Emil, key_package: 0 },
            ],
            Self::Update => vec![
                same,
                Content::Update { other_member: false, version: 1 },
                Content::Update { other_member: true, version: 0 },
            ],
            Self::Remove => vec![same, Content::Remove(FIRST)],
            Self::RemoveCommitter => vec![same],
            Self::PreSharedKey => vec![
                same,
                Content::PreSharedKey { id: 1, nonce: 2 },
                Content::PreSharedKey { id: 2, nonce: 1 },
            ],
            Self::ReInit => vec![same, Content::ReInit(2)],
            Self::ExternalInit => vec![same, Content::ExternalInit(2)],
            Self::GroupContextExtensions => vec![same, Content::GroupContextExtensions(2)],
            Self::Custom => vec![same, Content::Custom(2)],
        }
    }
}

/// The pairs of contents of two types, by what one has to do with the other.
pub(crate) fn related(a: Kind, b: Kind) -> Vec<[Content; 2]> {
    let (first, second) = (a.content(), b.content());
    match (a, b) {
        (Kind::Add, Kind::Remove) => {
            let again = Content::Add { client: Client::Member, key_package: 0 };
            vec![[first, second], [again, second], [again, Content::Remove(FIRST)]]
        }
        (Kind::Update, Kind::Remove) => vec![[first, second], [first, Content::Remove(FIRST)]],
        (Kind::Remove, Kind::Add | Kind::Update) => {
            related(b, a).into_iter().map(|[a, b]| [b, a]).collect()
        }
        _ if a == b => a.beside_itself().into_iter().map(|other| [first, other]).collect(),
        _ => vec![[first, second]],
    }
}

impl Slot {
    pub(crate) fn new(content: Content, way: Way, place: usize) -> Self {
        let way = match (content, way) {
            (Content::Update { other_member: true, .. }, Way::Member(_)) => Way::Member(SECOND),
            _ => way,
        };
        Self { content, way, place }
    }

    /// The sender's leaf, if it is a member.
    pub(crate) fn sender(self) -> Option<u32> {
        match self.way {
            Way::Value | Way::Own => Some(COMMITTER),
            Way::Member(leaf) => Some(leaf),
            Way::External | Way::NewMember => None,
        }
    }

    /// The leaf that it replaces or blanks.
    fn changes(self) -> Option<u32> {
        match self.content {
            Content::Update { .. } => self.sender(),
            Content::Remove(leaf) => Some(leaf),
            _ => None,
        }
    }
}

/// Who may send what: the proposal itself is refused.
///
/// | sent by | Add | Update | Remove | PSK | ReInit | ExternalInit | extensions | registered |
/// |---|---|---|---|---|---|---|---|---|
/// | member | yes | yes | yes | yes | yes | no | yes | yes |
/// | external sender | yes | no | yes | yes | yes | no | yes | as registered |
/// | new member | its own | no | no | no | no | no | no | no |
pub(crate) fn refused_on_receipt(slot: Slot) -> Option<Violation> {
    match (slot.way, slot.content) {
        (Way::Value, _) => None,
        (Way::Own | Way::Member(_), Content::ExternalInit(_)) => {
            Some(Violation::ExternalInitInMemberCommit)
        }
        (Way::Own | Way::Member(_), _) => None,
        (Way::External, Content::Update { .. }) => Some(Violation::ExternalUpdate),
        (Way::External, Content::ExternalInit(_) | Content::MembersOnly) => {
            Some(Violation::ExternalProposalType)
        }
        (Way::External, _) => None,
        (Way::NewMember, Content::Add { .. }) => None,
        (Way::NewMember, _) => Some(Violation::NewMemberProposalType),
    }
}

/// The rules of section 12.2 that a list breaks; none if it is valid. Where it breaks more than one,
/// whoever refuses it may name any.
pub(crate) fn broken(list: &[Slot]) -> Vec<Violation> {
    let mut broken: Vec<Violation> =
        list.iter().filter_map(|slot| broken_alone(*slot, list)).collect();
    for (i, a) in list.iter().enumerate() {
        for b in &list[..i] {
            broken.extend(broken_together(*a, *b));
        }
    }
    broken
}

fn broken_alone(slot: Slot, list: &[Slot]) -> Option<Violation> {
    let leaves = |leaf| list.iter().any(|other| other.content == Content::Remove(leaf));
    match slot.content {
        Content::Update { .. } if slot.sender() == Some(COMMITTER) => {
            Some(Violation::CommitterUpdates)
        }
        Content::Remove(COMMITTER) => Some(Violation::CommitterRemoved),
        Content::Add { client: Client::Member, .. } if !leaves(SECOND) => {
            Some(Violation::AddedMember)
        }
        Content::ExternalInit(_) => Some(Violation::ExternalInitInMemberCommit),
        _ => None,
    }
}

fn broken_together(a: Slot, b: Slot) -> Vec<Violation> {
    let mut broken = Vec::new();
    if a.changes().is_some() && a.changes() == b.changes() {
        broken.push(Violation::LeafTwice);
    }
    match (a.content, b.content) {
        (Content::Add { client: a, .. }, Content::Add { client: b, .. }) if a == b => {
            broken.push(Violation::AddedTwice);
        }
        (Content::PreSharedKey { .. }, Content::PreSharedKey { .. }) if a.content == b.content => {
            broken.push(Violation::PskTwice);
        }
        (Content::GroupContextExtensions(_), Content::GroupContextExtensions(_)) => {
            broken.push(Violation::GroupContextExtensionsTwice);
        }
        (Content::ReInit(_), _) | (_, Content::ReInit(_)) => {
            broken.push(Violation::ReInitNotAlone);
        }
        _ => {}
    }
    broken
}

/// What a committer commits of what it was given by value and of what it has received, the latter
/// first: all if it is valid. Otherwise what waits is left out, and what was asked for by value
/// stays or is refused. Of two that wait and contradict each other, a Remove goes before an Update
/// (V-12.2-06), everything before a ReInit (V-12.2-13), and the latest of what is left.
pub(crate) fn committed(list: &[Slot]) -> Result<Vec<Slot>, Vec<Violation>> {
    let (values, waiting): (Vec<Slot>, Vec<Slot>) =
        list.iter().partition(|slot| slot.way == Way::Value);
    if broken(list).is_empty() {
        return Ok([waiting, values].concat());
    }
    if !values.is_empty() {
        let broken = broken(&values);
        return if broken.is_empty() { Ok(values) } else { Err(broken) };
    }
    let fit: Vec<Slot> = waiting.into_iter().filter(|slot| broken(&[*slot]).is_empty()).collect();
    Ok(match fit[..] {
        [earlier, later] => vec![preferred(earlier, later)],
        _ => fit,
    })
}

fn preferred(earlier: Slot, later: Slot) -> Slot {
    match (earlier.content, later.content) {
        (Content::Remove(_), Content::Update { .. }) => earlier,
        (_, Content::ReInit(_)) if !matches!(earlier.content, Content::ReInit(_)) => earlier,
        _ => later,
    }
}
