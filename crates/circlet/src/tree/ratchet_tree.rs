use std::fmt;

use super::in_use::{Feature, InUse};
use super::subtree::{LeafChange, Place, Subtree};
use super::{ExtensionType, LeafIndex, LeafNode, NodeIndex, ParentNode, ProposalType};
use super::{TreeError, TreeWidth};
use crate::crypto::{CryptoError, Digest, HpkePublicKey, SignaturePublicKey, Suite};
use crate::identity::CredentialType;
use crate::mutation::off;

/// A ratchet tree (RFC 9420 sections 4 and 7): a value whose clones share their nodes, so that a
/// clone costs what changed since [`Self::compact`] and an operation replaces O(log n) nodes.
///
/// Operations keep the shape right and judge nothing: whether the tree is valid is for the
/// [rules](crate::rules). A tree is always hashed with the same suite, since it keeps its hashes.
#[derive(Clone)]
pub struct RatchetTree {
    pub(super) root: Subtree,
    pub(super) width: TreeWidth,
    pub(super) in_use: InUse,
}

impl RatchetTree {
    /// The tree of a new group: one member.
    #[must_use]
    pub fn new(first: LeafNode) -> Self {
        let mut in_use = InUse::default();
        in_use.insert_leaf(LeafIndex(0), &first);
        Self { root: Subtree::leaf(first, None), width: TreeWidth::ONE, in_use }
    }

    /// The width, blank leaves included.
    #[must_use]
    pub fn width(&self) -> TreeWidth {
        self.width
    }

    /// How many members there are.
    #[must_use]
    pub fn member_count(&self) -> u32 {
        self.root.members()
    }

    /// A member's leaf; `None` if it is blank or outside of the tree.
    #[must_use]
    pub fn leaf(&self, index: LeafIndex) -> Option<&LeafNode> {
        match self.at(index.node()?)? {
            Subtree::Leaf(slot) => Some(&slot.node),
            _ => None,
        }
    }

    /// A parent; `None` if it is blank, a leaf or outside of the tree.
    #[must_use]
    pub fn parent(&self, node: NodeIndex) -> Option<&ParentNode> {
        match self.at(node)? {
            Subtree::Parent(slot) => slot.content.as_ref(),
            _ => None,
        }
    }

    /// The key of a leaf or parent; `None` if it is blank or outside of the tree.
    #[must_use]
    pub fn encryption_key(&self, node: NodeIndex) -> Option<&HpkePublicKey> {
        match self.at(node)? {
            Subtree::Blank(_) => None,
            Subtree::Leaf(slot) => Some(&slot.node.encryption_key),
            Subtree::Parent(slot) => slot.content.as_ref().map(|parent| &parent.encryption_key),
        }
    }

    /// The members from the left.
    pub fn members(&self) -> impl Iterator<Item = (LeafIndex, &LeafNode)> {
        self.root.nodes(self.place()).filter_map(|(place, subtree)| match subtree {
            Subtree::Leaf(slot) => Some((place.first_leaf(), &slot.node)),
            _ => None,
        })
    }

    /// The parents that are not blank, each before those below it.
    pub fn parents(&self) -> impl Iterator<Item = (NodeIndex, &ParentNode)> {
        self.root.nodes(self.place()).filter_map(|(place, subtree)| match subtree {
            Subtree::Parent(slot) => Some((place.node(), slot.content.as_ref()?)),
            _ => None,
        })
    }

    /// Whether a leaf or parent has this key.
    #[must_use]
    pub fn has_encryption_key(&self, key: &HpkePublicKey) -> bool {
        self.in_use.encryption_keys.owner(key).is_some()
    }

    /// The leaves and parents that have this key: more than one only in an invalid tree.
    pub fn encryption_key_owners(&self, key: &HpkePublicKey) -> impl Iterator<Item = NodeIndex> {
        self.in_use.encryption_keys.owners(key).map(NodeIndex)
    }

    /// Whether two nodes have the same encryption key, which no valid tree has.
    #[must_use]
    pub fn has_repeated_encryption_key(&self) -> bool {
        self.in_use.encryption_keys.has_repeated()
    }

    /// A member that has this key.
    #[must_use]
    pub fn signature_key_owner(&self, key: &SignaturePublicKey) -> Option<LeafIndex> {
        self.in_use.signature_keys.owner(key).map(LeafIndex)
    }

    /// Whether two members have the same signature key, which no valid tree has.
    #[must_use]
    pub fn has_repeated_signature_key(&self) -> bool {
        self.in_use.signature_keys.has_repeated()
    }

    /// How many members support extensions of this type: all of them the default ones.
    #[must_use]
    pub fn extension_support(&self, extension_type: ExtensionType) -> u32 {
        match extension_type.is_default() {
            true => self.member_count(),
            false => self.in_use.features.count(Feature::Extension(extension_type)),
        }
    }

    /// How many members support proposals of this type: all of them the default ones.
    #[must_use]
    pub fn proposal_support(&self, proposal_type: ProposalType) -> u32 {
        match proposal_type.is_default() {
            true => self.member_count(),
            false => self.in_use.features.count(Feature::Proposal(proposal_type)),
        }
    }

    /// How many members support credentials of this type.
    #[must_use]
    pub fn credential_support(&self, credential_type: CredentialType) -> u32 {
        self.in_use.features.count(Feature::Credential(credential_type))
    }

    /// How many members have a credential of this type.
    #[must_use]
    pub fn credential_use(&self, credential_type: CredentialType) -> u32 {
        self.in_use.features.count(Feature::CredentialUsed(credential_type))
    }

    /// The types of the members' credentials, each once.
    pub fn credential_types(&self) -> impl Iterator<Item = CredentialType> {
        self.in_use.features.credential_types_used()
    }

    /// The nodes that together cover all members below a node (section 4.1.1): none if it is blank
    /// throughout or outside of the tree.
    #[must_use]
    pub fn resolution(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut resolution = Vec::new();
        if let (Some(subtree), Some(place)) = (self.at(node), Place::of_node(node)) {
            subtree.resolve(place, &mut resolution);
        }
        resolution
    }

    /// Puts a member at the leftmost blank leaf, doubling the tree if there is none, and among the
    /// unmerged leaves of all parents above (sections 7.7 and 12.1.1). V-12.1.1-03: in their order,
    /// though in a tree that a joiner was given a leaf may be blank to the left of them.
    ///
    /// # Errors
    /// [`TreeError::TooManyLeaves`] if the tree would become wider than `limit` leaves.
    pub fn add(&mut self, leaf: LeafNode, limit: u32) -> Result<LeafIndex, TreeError> {
        let index = match self.root.first_blank_leaf(self.place()) {
            Some(index) => index,
            None => self.extend(limit)?,
        };
        self.in_use.insert_leaf(index, &leaf);
        let place = self.place();
        self.root.edit(place, index, LeafChange::Set(leaf), &mut |_, parent| {
            let Some(parent) = parent else { return };
            if off("V-12.1.1-03") {
                return parent.unmerged_leaves.push(index);
            }
            if let Err(position) = parent.unmerged_leaves.binary_search(&index) {
                parent.unmerged_leaves.insert(position, index);
            }
        });
        Ok(index)
    }

    /// Replaces a member's leaf and blanks the parents above it (section 12.1.2).
    ///
    /// # Errors
    /// [`TreeError::NoSuchLeaf`].
    pub fn update(&mut self, index: LeafIndex, leaf: LeafNode) -> Result<(), TreeError> {
        self.replace_in_use(index, Some(&leaf))?;
        self.set_parents(index, LeafChange::Set(leaf), Vec::new());
        Ok(())
    }

    /// Blanks a member's leaf and the parents above it, then halves the tree as long as its right
    /// half is blank (sections 7.7 and 12.1.3).
    ///
    /// # Errors
    /// [`TreeError::NoSuchLeaf`].
    pub fn remove(&mut self, index: LeafIndex) -> Result<(), TreeError> {
        self.replace_in_use(index, None)?;
        self.set_parents(index, LeafChange::Blank, Vec::new());
        self.truncate();
        Ok(())
    }

    /// Replaces a member's leaf and nothing else: the leaf of an UpdatePath whose parents
    /// [`Self::set_path`] sets (section 7.5).
    ///
    /// # Errors
    /// [`TreeError::NoSuchLeaf`].
    pub fn set_leaf(&mut self, index: LeafIndex, leaf: LeafNode) -> Result<(), TreeError> {
        self.replace_in_use(index, Some(&leaf))?;
        let place = self.place();
        self.root.edit(place, index, LeafChange::Set(leaf), &mut |_, _| {});
        Ok(())
    }

    /// The tree hash of the whole tree (section 7.8). Costs one hash for each node that changed
    /// since it was last asked for.
    ///
    /// # Errors
    /// The provider failed.
    pub fn tree_hash(&self, suite: &Suite) -> Result<Digest, CryptoError> {
        self.root.hash(suite, self.place())
    }

    /// The tree hash of the subtree below a node, blank or not (section 7.8).
    ///
    /// # Errors
    /// [`TreeError::NoSuchNode`], or the provider failed.
    pub fn subtree_hash(&self, suite: &Suite, node: NodeIndex) -> Result<Digest, TreeError> {
        let place = self.place_of(node).ok_or(TreeError::NoSuchNode(node))?;
        Ok(match self.at(node) {
            Some(subtree) => subtree.hash(suite, place)?,
            None => super::hash::blank(suite, place)?,
        })
    }

    /// Whether both trees hold the same value in memory below a node, by which tests tell that an
    /// operation replaced no more than it had to. Subtrees without members count as the same.
    #[must_use]
    pub fn shares_subtree(&self, other: &Self, node: NodeIndex) -> bool {
        match (self.at(node), other.at(node)) {
            (Some(own), Some(other)) => own.is_same(other),
            (None, None) => true,
            (Some(only), None) | (None, Some(only)) => only.is_blank(),
        }
    }

    /// Merges what the tree remembers as changes of keys and capabilities, if no clone is left that
    /// shares them: called when the tree of the last epoch is gone, it keeps the next clone cheap.
    pub fn compact(&mut self) {
        self.in_use.compact();
    }

    /// Where the whole tree is.
    pub(super) fn place(&self) -> Place {
        Place::of_root(self.width.depth())
    }

    /// Where a node of this tree is, blank or not.
    pub(super) fn place_of(&self, node: NodeIndex) -> Option<Place> {
        match node.0 < self.width.nodes() {
            true => Place::of_node(node),
            false => None,
        }
    }

    /// The subtree below a node; `None` inside of a blank one or outside of the tree.
    pub(super) fn at(&self, node: NodeIndex) -> Option<&Subtree> {
        self.root.at(self.place(), node)
    }

    /// Changes a leaf and replaces all parents above it: by `contents`, in order from the leaf up,
    /// or by blank ones (V-7.5-03). The leaf's own keys are accounted for by the caller.
    pub(super) fn set_parents(
        &mut self,
        index: LeafIndex,
        change: LeafChange,
        contents: Vec<(NodeIndex, ParentNode)>,
    ) {
        let place = self.place();
        let Self { root, in_use, .. } = self;
        let mut contents = contents.into_iter().peekable();
        root.edit(place, index, change, &mut |node, parent| {
            let next = contents.next_if(|(at, _)| *at == node).map(|(_, content)| content);
            if next.is_none() && off("V-7.5-03") {
                return;
            }
            if let Some(old) = std::mem::replace(parent, next) {
                in_use.remove_parent(node, &old.encryption_key);
            }
            if let Some(new) = parent {
                in_use.insert_parent(node, &new.encryption_key);
            }
        });
    }

    /// Accounts for a member's leaf being replaced or removed.
    fn replace_in_use(
        &mut self,
        index: LeafIndex,
        new: Option<&LeafNode>,
    ) -> Result<(), TreeError> {
        let old = self.leaf(index).cloned().ok_or(TreeError::NoSuchLeaf(index))?;
        self.in_use.remove_leaf(index, &old);
        if let Some(new) = new {
            self.in_use.insert_leaf(index, new);
        }
        Ok(())
    }

    /// Doubles a full tree; returns the first leaf of its right half.
    fn extend(&mut self, limit: u32) -> Result<LeafIndex, TreeError> {
        let wider = self.width.doubled().filter(|width| width.leaves() <= limit);
        let first = LeafIndex(self.width.leaves());
        self.width = wider.ok_or(TreeError::TooManyLeaves { limit })?;
        let left = std::mem::replace(&mut self.root, Subtree::blank());
        self.root = Subtree::parent(None, left, Subtree::blank(), None);
        Ok(first)
    }

    /// V-7.7-01: as often as there is nobody in the right half; V-12.3-03: before anybody is added.
    fn truncate(&mut self) {
        while let Some(halved) = self.width.halved().filter(|_| !off("V-12.3-03")) {
            let left = match &self.root {
                Subtree::Parent(slot) if slot.right.is_blank() => slot.left.clone(),
                Subtree::Blank(_) => Subtree::blank(),
                _ => return,
            };
            self.root = left;
            self.width = halved;
            if off("V-7.7-01") {
                return;
            }
        }
    }
}

impl fmt::Debug for RatchetTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RatchetTree({} members, {:?})", self.member_count(), self.width)
    }
}
