use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Encode;
use crate::crypto::{
    HashReference, HpkeCiphertext, HpkeKeyPair, HpkePrivateKey, HpkePublicKey, Secret, Signature,
};
use crate::error::{Error, Misuse, Unready};
use crate::identity::SigningKey;
use crate::message::{
    AuthenticatedContent, Commit, Content, GroupContext, GroupId, KeyPackage, Proposal,
    ProposalOrRef, Sender, UpdatePath, UpdatePathNode, WireFormat,
};
use crate::schedule::{
    InitSecret, JoinerSecret, PreSharedKeyId, Psk, confirmed_transcript_hash,
    interim_transcript_hash, psk_secret,
};
use crate::testing::TestPsks;
use crate::tree::{
    Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, NodeIndex, PathNode,
    RatchetTree,
};

use super::edits::{EditEach, Edits};
use super::frame::{Forged, Frame, Generations};
use super::leaf::LeafSigning;
use super::welcome::WelcomeForgery;
use super::{Insider, KnownProposal};

/// A Commit on its way: any list of proposals, applied without asking whether it may be, in the
/// order of RFC 9420 section 12.3; a path that is honest but for what a test changes; and a
/// confirmation tag that is right for what was sent.
///
/// Steps come in this order: the proposals are applied, [`edit_tree`](Self::edit_tree), path
/// secrets are made, [`edit_steps`](Self::edit_steps), the leaf gets its parent hash,
/// [`leaf`](Self::leaf), it is signed, the path is put into the tree, secrets are encrypted by
/// [`edit_seals`](Self::edit_seals), [`edit_path`](Self::edit_path),
/// [`edit_commit`](Self::edit_commit), then it is framed as [`framed`](Self::framed) says.
#[must_use = "nothing is made before it is framed: public() or private()"]
pub struct CommitForgery<'a> {
    insider: &'a mut Insider,
    list: Vec<ProposalOrRef>,
    has_path: bool,
    tree: Edits<'a, RatchetTree>,
    extensions: Edits<'a, Extensions>,
    steps: Edits<'a, Vec<PathStep>>,
    leaf: LeafSigning<'a>,
    path_context: Edits<'a, GroupContext>,
    seals: EditEach<'a, PathSeal>,
    path: Edits<'a, UpdatePath>,
    commit: Edits<'a, Commit>,
    commit_secret: Option<Secret>,
    init_secret: Option<InitSecret>,
    context: Edits<'a, GroupContext>,
    frame: Vec<Box<dyn FnOnce(Frame<'a>) -> Frame<'a> + 'a>>,
}

/// One node of a path before it is encrypted.
#[derive(Clone, Debug)]
pub struct PathStep {
    /// The node, and the child that its secret is encrypted to.
    pub place: PathNode,
    /// Its path secret.
    pub path_secret: Secret,
    /// Its public key, which goes into the tree and the path. The private key follows from the
    /// path secret.
    pub public_key: HpkePublicKey,
}

/// One encryption of a path secret.
#[derive(Clone, Debug)]
pub struct PathSeal {
    /// The node whose secret it is.
    pub node: NodeIndex,
    /// The node that it is encrypted to.
    pub recipient: NodeIndex,
    /// That node's key.
    pub key: HpkePublicKey,
    /// What is encrypted.
    pub plaintext: Vec<u8>,
    /// The encoded GroupContext that it is bound to.
    pub context: Vec<u8>,
}

/// A Commit, and what somebody knows who made it.
pub struct ForgedCommit {
    /// The MLSMessage.
    pub message: Vec<u8>,
    /// What is in it.
    pub content: AuthenticatedContent,
    /// The insider in the epoch that the Commit begins, for those who accept it.
    pub next: Insider,
    /// Who was added, and where.
    pub added: Vec<(LeafIndex, KeyPackage)>,
    /// The nodes of the path.
    pub steps: Vec<PathStep>,
    /// The new epoch's joiner secret.
    pub joiner_secret: Secret,
    /// The pre-shared keys that it injects, with their secrets.
    pub psks: Vec<(PreSharedKeyId, Secret)>,
}

impl AsRef<[u8]> for ForgedCommit {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl ForgedCommit {
    /// The Welcome that belongs to it, honest unless something else is said.
    pub fn welcome(&mut self) -> WelcomeForgery<'_> {
        WelcomeForgery::new(self)
    }
}

impl<'a> CommitForgery<'a> {
    pub(super) fn new(insider: &'a mut Insider) -> Self {
        Self {
            insider,
            list: Vec::new(),
            has_path: true,
            tree: Edits::default(),
            extensions: Edits::default(),
            steps: Edits::default(),
            leaf: LeafSigning::default(),
            path_context: Edits::default(),
            seals: None,
            path: Edits::default(),
            commit: Edits::default(),
            commit_secret: None,
            init_secret: None,
            context: Edits::default(),
            frame: Vec::new(),
        }
    }

    /// Proposals by value, at the end of the list.
    pub fn proposals(mut self, proposals: impl IntoIterator<Item = Proposal>) -> Self {
        let by_value = |proposal| ProposalOrRef::Proposal(Box::new(proposal));
        self.list.extend(proposals.into_iter().map(by_value));
        self
    }

    /// Proposals by reference, at the end of the list. What the insider does not know is not
    /// applied.
    pub fn references(mut self, references: impl IntoIterator<Item = HashReference>) -> Self {
        self.list.extend(references.into_iter().map(ProposalOrRef::Reference));
        self
    }

    /// All proposals that the insider knows, by reference.
    pub fn waiting(self) -> Self {
        let known = self.insider.proposals.iter().map(|known| known.reference.clone());
        let references: Vec<HashReference> = known.collect();
        self.references(references)
    }

    /// No path.
    pub fn without_path(mut self) -> Self {
        self.has_path = false;
        self
    }

    /// Changes the tree that the proposals gave, before the path.
    pub fn edit_tree(mut self, edit: impl FnOnce(&mut RatchetTree) + 'a) -> Self {
        self.tree.push(edit);
        self
    }

    /// Changes the group's extensions that the proposals gave.
    pub fn edit_extensions(mut self, edit: impl FnOnce(&mut Extensions) + 'a) -> Self {
        self.extensions.push(edit);
        self
    }

    /// Changes the secrets and keys of the path, from the leaf to the root. Parent hashes and the
    /// tree are computed with the changed keys. A changed number of nodes goes into the path alone:
    /// the tree has the honest ones then.
    pub fn edit_steps(mut self, edit: impl FnOnce(&mut Vec<PathStep>) + 'a) -> Self {
        self.steps.push(edit);
        self
    }

    /// Changes the path's leaf before it is signed; it has its parent hash already.
    pub fn leaf(mut self, edit: impl FnOnce(&mut LeafNodeContent) + 'a) -> Self {
        self.leaf.content.push(edit);
        self
    }

    /// Whose key signs the path's leaf.
    pub fn leaf_signer(mut self, signer: SigningKey) -> Self {
        self.leaf.signer = Some(signer);
        self
    }

    /// The place that the path's leaf is signed for.
    pub fn leaf_position(mut self, group_id: GroupId, leaf_index: LeafIndex) -> Self {
        self.leaf.position = Some((group_id, leaf_index));
        self
    }

    /// Changes the signature of the path's leaf.
    pub fn edit_leaf_signature(mut self, edit: impl FnOnce(&mut Signature) + 'a) -> Self {
        self.leaf.signature.push(edit);
        self
    }

    /// Changes the GroupContext that path secrets are bound to (section 7.6).
    pub fn edit_path_context(mut self, edit: impl FnOnce(&mut GroupContext) + 'a) -> Self {
        self.path_context.push(edit);
        self
    }

    /// Looks at every path secret before it is encrypted, and may change what is encrypted, to
    /// whom and under which context.
    pub fn edit_seals(mut self, edit: impl FnMut(&mut PathSeal) + 'a) -> Self {
        self.seals = Some(Box::new(edit));
        self
    }

    /// Changes the path when it is complete. The tree has what is in it then, if it has as many
    /// nodes as it should.
    pub fn edit_path(mut self, edit: impl FnOnce(&mut UpdatePath) + 'a) -> Self {
        self.path.push(edit);
        self
    }

    /// Changes the Commit before it is framed.
    pub fn edit_commit(mut self, edit: impl FnOnce(&mut Commit) + 'a) -> Self {
        self.commit.push(edit);
        self
    }

    /// The secret that the path, or its absence, brings to the key schedule.
    pub fn commit_secret(mut self, secret: Secret) -> Self {
        self.commit_secret = Some(secret);
        self
    }

    /// The init secret, where it is not that of the epoch before.
    pub fn init_secret(mut self, secret: Secret) -> Self {
        self.init_secret = Some(InitSecret::new(secret));
        self
    }

    /// Changes the new epoch's GroupContext, which secrets and tag are computed with.
    pub fn edit_context(mut self, edit: impl FnOnce(&mut GroupContext) + 'a) -> Self {
        self.context.push(edit);
        self
    }

    /// Changes how the Commit is framed: see [`Frame`].
    pub fn framed(mut self, frame: impl FnOnce(Frame<'a>) -> Frame<'a> + 'a) -> Self {
        self.frame.push(Box::new(frame));
        self
    }

    /// Makes a PublicMessage.
    ///
    /// # Errors
    /// [`Unready::UnknownPsk`] if the insider has not got a key that it injects; a signer or the
    /// generator failed, or something is too long to encode.
    pub fn public(self) -> Result<ForgedCommit, Error> {
        self.build(WireFormat::PublicMessage)
    }

    /// Makes a PrivateMessage.
    ///
    /// # Errors
    /// As for [`Self::public`].
    pub fn private(self) -> Result<ForgedCommit, Error> {
        self.build(WireFormat::PrivateMessage)
    }

    fn build(mut self, wire_format: WireFormat) -> Result<ForgedCommit, Error> {
        let mut applied = Applied::new(self.insider, &self.list)?;
        self.tree.apply(&mut applied.tree);
        self.extensions.apply(&mut applied.extensions);
        let mut path = match self.has_path {
            true => Some(self.build_path(&mut applied)?),
            false => None,
        };
        let update_path = path.as_mut().and_then(|path| path.wire.take());
        let mut commit = Commit { proposals: self.list.clone(), path: update_path.map(Box::new) };
        self.commit.apply(&mut commit);

        let mut frame = self.insider.content(Content::Application(Vec::new()))?;
        for change in std::mem::take(&mut self.frame) {
            frame = change(frame);
        }
        frame.set_content(Content::Commit(commit));
        let signed = frame.sign(wire_format)?;
        self.finish(applied, path, frame, signed)
    }

    /// The key schedule, the confirmation tag, and the message.
    fn finish(
        mut self,
        applied: Applied,
        path: Option<BuiltPath>,
        mut frame: Frame<'a>,
        mut signed: AuthenticatedContent,
    ) -> Result<ForgedCommit, Error> {
        let suite = self.insider.settings.suite.clone();
        let mut context = next_context(self.insider, &applied)?;
        let interim = self.insider.interim_transcript_hash;
        let input = signed.confirmed_transcript_hash_input()?;
        let confirmed = confirmed_transcript_hash(&suite, interim.as_bytes(), &input)?;
        context.confirmed_transcript_hash = confirmed.as_bytes().to_vec();
        self.context.apply(&mut context);

        let of_path = path.as_ref().map(|path| path.commit_secret.clone());
        let commit_secret = self.commit_secret.take().or(of_path);
        let commit_secret = commit_secret.unwrap_or_else(|| Secret::zero(suite.secret_length()));
        let init_secret = self.init_secret.take();
        let init_secret = init_secret.as_ref().unwrap_or(&self.insider.secrets.init_secret);
        let context_bytes = context.to_bytes()?;
        let joiner = JoinerSecret::derive(&suite, init_secret, &commit_secret, &context_bytes)?;
        let psks = applied.psk_secrets(&self.insider.psks)?;
        let member = joiner.with_psk(&suite, &psk_secret(&suite, &psks)?)?;
        let (secrets, encryption_secret) = member.epoch(&suite, &context_bytes)?.secrets(&suite)?;

        let confirmed = &context.confirmed_transcript_hash;
        let tag = suite.mac(&secrets.confirmation_key, &[confirmed])?;
        signed.auth.confirmation_tag = Some(tag.clone());
        frame.apply_auth(&mut signed);
        let confirmation_tag = signed.auth.confirmation_tag.clone().unwrap_or(tag);
        let interim_transcript_hash =
            interim_transcript_hash(&suite, confirmed, &confirmation_tag)?;
        let Forged { message, content } = frame.protect(signed)?;

        let insider = self.insider;
        let signer = self.leaf.signer.unwrap_or_else(|| insider.signer.clone());
        let (private_keys, steps) = applied.private_keys(insider, path);
        let next = Insider {
            settings: insider.settings.clone(),
            leaf: insider.leaf,
            signer,
            psks: insider.psks.clone(),
            rng: insider.rng.fork()?,
            context,
            tree: applied.tree,
            secrets,
            encryption_secret,
            interim_transcript_hash,
            confirmation_tag,
            private_keys,
            proposals: Vec::new(),
            generations: Generations::default(),
        };
        let (added, joiner_secret) = (applied.added, joiner.secret().clone());
        Ok(ForgedCommit { message, content, next, added, steps, joiner_secret, psks })
    }

    /// Sections 7.4 to 7.6, with the changes that were asked for.
    fn build_path(&mut self, applied: &mut Applied) -> Result<BuiltPath, Error> {
        let suite = self.insider.settings.suite.clone();
        let own = self.insider.leaf;
        let old = applied.tree.leaf(own).ok_or(Misuse::NoSuchMember)?.clone();
        let leaf_keys = suite.generate_key_pair(&mut self.insider.rng)?;
        let honest = self.make_steps(&applied.tree)?;
        let mut steps = honest.clone();
        self.steps.apply(&mut steps);

        let in_tree = if steps.len() == honest.len() { &steps } else { &honest };
        let keys: Vec<HpkePublicKey> = in_tree.iter().map(|step| step.public_key.clone()).collect();
        let parent_hash = applied.tree.set_path(&suite, own, &keys)?;
        let content = LeafNodeContent {
            encryption_key: leaf_keys.public.clone(),
            source: LeafNodeSource::Commit(parent_hash),
            ..LeafNodeContent::clone(&old)
        };
        let place = (&self.insider.context.group_id, own);
        let leaf_node = self.leaf.sign(content, place, &self.insider.signer)?;
        applied.tree.set_leaf(own, leaf_node.clone())?;

        let commit_secret = match in_tree.last() {
            Some(last) => suite.derive_secret(&last.path_secret, "path")?,
            None => Secret::random(&mut self.insider.rng, suite.secret_length())?,
        };
        let nodes = self.encrypt(applied, &steps)?;
        let mut wire = UpdatePath { leaf_node, nodes };
        if self.path.apply(&mut wire) {
            applied.replace_path(self.insider, &wire)?;
        }
        Ok(BuiltPath { steps, leaf_keys, commit_secret, wire: Some(wire) })
    }

    fn make_steps(&mut self, tree: &RatchetTree) -> Result<Vec<PathStep>, Error> {
        let suite = self.insider.settings.suite.clone();
        let mut path_secret = Secret::random(&mut self.insider.rng, suite.secret_length())?;
        let mut steps = Vec::new();
        for place in tree.filtered_direct_path(self.insider.leaf) {
            let next = suite.derive_secret(&path_secret, "path")?;
            let node_secret = suite.derive_secret(&path_secret, "node")?;
            let public_key = suite.derive_key_pair(&node_secret)?.public;
            steps.push(PathStep { place, path_secret, public_key });
            path_secret = next;
        }
        Ok(steps)
    }

    fn encrypt(
        &mut self,
        applied: &Applied,
        steps: &[PathStep],
    ) -> Result<Vec<UpdatePathNode>, Error> {
        let suite = self.insider.settings.suite.clone();
        let mut context = next_context(self.insider, applied)?;
        self.path_context.apply(&mut context);
        let context = context.to_bytes()?;
        let added: BTreeSet<NodeIndex> =
            applied.added.iter().filter_map(|(leaf, _)| leaf.node()).collect();
        let mut nodes = Vec::new();
        for step in steps {
            let mut encrypted_path_secret: Vec<HpkeCiphertext> = Vec::new();
            let resolution = applied.tree.resolution(step.place.copath);
            for recipient in resolution.into_iter().filter(|node| !added.contains(node)) {
                let key = applied.tree.encryption_key(recipient).ok_or(Error::Internal)?.clone();
                let mut seal = PathSeal {
                    node: step.place.node,
                    recipient,
                    key,
                    plaintext: step.path_secret.as_bytes().to_vec(),
                    context: context.clone(),
                };
                if let Some(edit) = &mut self.seals {
                    edit(&mut seal);
                }
                let seed = suite.encapsulation_seed(&mut self.insider.rng)?;
                let PathSeal { key, plaintext, context, .. } = &seal;
                encrypted_path_secret.push(suite.encrypt_with_label(
                    key,
                    "UpdatePathNode",
                    context,
                    plaintext,
                    &seed,
                )?);
            }
            let encryption_key = step.public_key.clone();
            nodes.push(UpdatePathNode { encryption_key, encrypted_path_secret });
        }
        Ok(nodes)
    }
}

/// The context of the next epoch, with the transcript hash of the old one.
fn next_context(insider: &Insider, applied: &Applied) -> Result<GroupContext, Error> {
    let old = &insider.context;
    Ok(GroupContext {
        epoch: old.epoch.wrapping_add(1),
        tree_hash: applied.tree.tree_hash(insider.suite())?.as_bytes().to_vec(),
        extensions: applied.extensions.clone(),
        ..old.clone()
    })
}

struct BuiltPath {
    steps: Vec<PathStep>,
    leaf_keys: HpkeKeyPair,
    commit_secret: Secret,
    wire: Option<UpdatePath>,
}

/// A list of proposals, applied as far as it can be.
struct Applied {
    tree: RatchetTree,
    extensions: Extensions,
    added: Vec<(LeafIndex, KeyPackage)>,
    psks: Vec<PreSharedKeyId>,
    /// The private key of the insider's own leaf, if an Update of it was applied.
    own_key: Option<HpkePrivateKey>,
}

impl Applied {
    /// Section 12.3: extensions, Updates, Removes, Adds. What can't be applied is left out, and
    /// so is a Remove of the committer, without whom there is no path.
    fn new(insider: &Insider, list: &[ProposalOrRef]) -> Result<Self, Error> {
        let by_value = Sender::Member(insider.leaf);
        let list: Vec<(Sender, &Proposal, Option<&KnownProposal>)> = list
            .iter()
            .filter_map(|item| match item {
                ProposalOrRef::Proposal(proposal) => Some((by_value, &**proposal, None)),
                ProposalOrRef::Reference(reference) => {
                    let known = insider.proposals.iter().find(|it| it.reference == *reference)?;
                    Some((known.sender, &known.proposal, Some(known)))
                }
            })
            .collect();
        let mut applied = Self {
            tree: insider.tree.clone(),
            extensions: insider.context.extensions.clone(),
            added: Vec::new(),
            psks: Vec::new(),
            own_key: None,
        };
        for (sender, proposal, known) in &list {
            match (proposal, sender) {
                (Proposal::GroupContextExtensions(new), _) => applied.extensions = new.clone(),
                (Proposal::Update(leaf), Sender::Member(sender)) => {
                    let done = applied.tree.update(*sender, LeafNode::clone(leaf)).is_ok();
                    if done && *sender == insider.leaf {
                        applied.own_key = known.and_then(|known| known.leaf_key.clone());
                    }
                }
                (Proposal::PreSharedKey(id), _) => applied.psks.push(id.clone()),
                _ => {}
            }
        }
        for (_, proposal, _) in &list {
            if let Proposal::Remove(removed) = proposal
                && *removed != insider.leaf
            {
                let _ = applied.tree.remove(*removed);
            }
        }
        for (_, proposal, _) in &list {
            if let Proposal::Add(key_package) = proposal {
                let leaf = applied.tree.add(key_package.leaf_node.clone(), u32::MAX)?;
                applied.added.push((leaf, key_package.clone()));
            }
        }
        Ok(applied)
    }

    fn psk_secrets(&self, psks: &TestPsks) -> Result<Vec<(PreSharedKeyId, Secret)>, Error> {
        let find = |id: &PreSharedKeyId| match &id.psk {
            Psk::External { psk_id } => {
                let found = psks.external.get(psk_id);
                found.cloned().ok_or_else(|| Unready::UnknownPsk(id.psk.clone()))
            }
            Psk::Resumption { psk_group_id, psk_epoch, .. } => {
                let found = psks.resumption.get(&(psk_group_id.clone(), *psk_epoch));
                found.cloned().ok_or_else(|| Unready::UnknownPsk(id.psk.clone()))
            }
        };
        self.psks.iter().map(|id| Ok((id.clone(), find(id)?))).collect()
    }

    /// Puts a path into the tree that was changed after the tree had it.
    fn replace_path(&mut self, insider: &Insider, wire: &UpdatePath) -> Result<(), Error> {
        let keys: Vec<HpkePublicKey> =
            wire.nodes.iter().map(|node| node.encryption_key.clone()).collect();
        if keys.len() == self.tree.filtered_direct_path(insider.leaf).len() {
            self.tree.set_path(insider.suite(), insider.leaf, &keys)?;
        }
        Ok(self.tree.set_leaf(insider.leaf, wire.leaf_node.clone())?)
    }

    /// What the insider can decrypt with in the next epoch, and the nodes of its path.
    fn private_keys(
        &self,
        insider: &Insider,
        path: Option<BuiltPath>,
    ) -> (BTreeMap<NodeIndex, HpkePrivateKey>, Vec<PathStep>) {
        let unchanged =
            |node: NodeIndex| self.tree.encryption_key(node) == insider.tree.encryption_key(node);
        let kept = insider.private_keys.iter().filter(|(node, _)| unchanged(**node));
        let mut keys: BTreeMap<_, _> = kept.map(|(node, key)| (*node, key.clone())).collect();
        let own = insider.leaf.node();
        keys.extend(own.zip(self.own_key.clone()));
        let Some(path) = path else { return (keys, Vec::new()) };
        keys.extend(own.zip(Some(path.leaf_keys.private)));
        for step in &path.steps {
            let suite = insider.suite();
            let pair = suite
                .derive_secret(&step.path_secret, "node")
                .and_then(|secret| suite.derive_key_pair(&secret));
            keys.extend(pair.ok().map(|pair| (step.place.node, pair.private)));
        }
        (keys, path.steps)
    }
}
