//! Welcomes, GroupInfos and ratchet trees (RFC 9420 sections 12.4.3, 12.4.3.1 and 12.4.3.3).

use circlet::codec::{CustomProposal, DecodeContext, Encode};
use circlet::crypto::{CipherSuite, HpkePublicKey, Secret, Signature};
use circlet::group::{GroupInfoOptions, NoPsks, OpenedWelcome};
use circlet::message::{GroupInfo, MlsMessage, Proposal, Welcome};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::testing::{
    ForgedCommit, ForgedWelcome, Node, SeededRng, TestGroup, TestMember, WelcomeForgery, clients,
    dump, leaf_with_signature, tree_nodes,
};
use circlet::tree::{
    Capabilities, Extension, ExtensionType, Extensions, LeafIndex, LeafNode, LeafNodeContent,
    LeafPosition, ProposalType, RequiredCapabilities,
};
use circlet::{Client, Error, Misuse, Received, Unready};

use crate::support::{SUITE, assert_violation};

mod encrypted;
mod trees;

/// Somebody whom an insider welcomes, and the Commit that adds it.
struct Welcomed {
    newcomer: TestMember,
    commit: ForgedCommit,
}

impl Welcomed {
    /// A group of seven with parents on both sides; member 1 adds somebody at leaf 7.
    fn new() -> Self {
        Self::with_path(true)
    }

    /// The same by a Commit without a path: the newcomer is unmerged all the way up.
    fn without_path() -> Self {
        Self::with_path(false)
    }

    fn with_path(path: bool) -> Self {
        let mut group = TestGroup::new(SUITE, 7).unwrap();
        for i in [0, 4, 1] {
            group.update(i).unwrap();
        }
        let mut newcomer = group.newcomer("new").unwrap();
        let add = Proposal::Add(newcomer.key_package().unwrap());
        let mut insider = group.insider(1).unwrap();
        let commit = insider.commit().proposals([add]);
        let commit = if path { commit } else { commit.without_path() };
        Self { newcomer, commit: commit.public().unwrap() }
    }

    fn forge<'a>(
        &'a mut self,
        change: impl FnOnce(WelcomeForgery<'a>) -> WelcomeForgery<'a>,
    ) -> ForgedWelcome {
        change(self.commit.welcome()).build().unwrap()
    }

    /// The error that this Welcome is refused with. What the newcomer has is as it was, and by the
    /// genuine Welcome it would join still.
    #[track_caller]
    fn error<'a>(
        &'a mut self,
        change: impl FnOnce(WelcomeForgery<'a>) -> WelcomeForgery<'a>,
    ) -> Error {
        let place = self.commit.added[0].0;
        let genuine = self.commit.welcome().build().unwrap();
        // The borrow of the change is as long as that of the Commit.
        let forged = change(self.commit.welcome()).build().unwrap();
        let error = refuse(&mut self.newcomer, &forged);
        let state = self.newcomer.would_join(&genuine).expect("a genuine Welcome");
        assert_eq!(state.own_leaf(), place);
        error
    }

    #[track_caller]
    fn refuses<'a>(
        &'a mut self,
        expected: Violation,
        change: impl FnOnce(WelcomeForgery<'a>) -> WelcomeForgery<'a>,
    ) {
        let error = self.error(change);
        assert_violation(&error, expected);
    }

    /// The genuine Welcome brings it in.
    fn joins(mut self) {
        let genuine = self.forge(|welcome| welcome);
        self.newcomer.join(&genuine).unwrap();
        assert_eq!(self.newcomer.keys.len(), 0);
        assert_eq!(*self.newcomer.state().context(), self.commit.next.context);
    }
}

#[track_caller]
fn refuse(newcomer: &mut TestMember, welcome: impl AsRef<[u8]>) -> Error {
    let error = newcomer.refuses(welcome);
    assert!(!newcomer.is_active());
    error
}

fn read(message: impl AsRef<[u8]>, member: &TestMember) -> Welcome {
    match MlsMessage::read(message.as_ref(), &member.settings.context).unwrap() {
        MlsMessage::Welcome(welcome) => welcome,
        other => panic!("{other:?}"),
    }
}

fn psk(id: &[u8]) -> PreSharedKeyId {
    PreSharedKeyId { psk: Psk::External { psk_id: id.to_vec() }, psk_nonce: vec![7; 32] }
}

fn parent(nodes: &mut [Option<Node>], index: usize) -> &mut circlet::tree::ParentNode {
    nodes[index].as_mut().and_then(Node::parent_mut).unwrap()
}

fn extension(extension_type: u16, data: &[u8]) -> Extension {
    Extension { extension_type: ExtensionType(extension_type), data: data.to_vec() }
}

/// V-12.4.3.1-01: the tree is in the Welcome, or comes another way, or is asked for.
#[test]
fn v_12_4_3_1_01_a_welcome_without_its_tree() {
    let mut welcomed = Welcomed::new();
    let error = welcomed.error(WelcomeForgery::without_tree);
    assert!(matches!(error, Error::Unready(Unready::RatchetTreeMissing)), "{error:?}");
    let welcome = welcomed.forge(WelcomeForgery::without_tree);
    let outside = welcome.ratchet_tree.clone();
    welcomed.newcomer.join_with(&welcome, Some(&outside)).unwrap();
    assert_eq!(welcomed.newcomer.state().ratchet_tree().unwrap(), outside);
}

/// V-12.4.3.1-02: the Welcome is of the key package's suite, and has an entry for it.
#[test]
fn v_12_4_3_1_02_a_welcome_is_for_its_key_package() {
    let mut welcomed = Welcomed::new();
    let other = CipherSuite::P256_AES128GCM_SHA256_P256;
    let error = welcomed.error(|welcome| welcome.edit_welcome(|it| it.cipher_suite = other));
    assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage)), "{error:?}");
    // Another one's key package.
    welcomed.newcomer.key_package().unwrap();
    let welcome = read(welcomed.forge(|welcome| welcome), &welcomed.newcomer);
    let newcomer = &welcomed.newcomer;
    let settings = newcomer.settings.clone();
    let opened = OpenedWelcome::open(settings, &welcome, &newcomer.keys[1], None, &NoPsks);
    assert!(matches!(opened, Err(Error::Unready(Unready::UnknownKeyPackage))));
    welcomed.newcomer.keys.truncate(1);
    welcomed.joins();
}

/// V-12.4.3.1-03: of several entries for one key package the first counts, whatever the others are.
#[test]
fn v_12_4_3_1_03_several_entries_for_one_key_package() {
    let mut welcomed = Welcomed::new();
    welcomed.refuses(Violation::WelcomeDecryption, |welcome| {
        welcome.edit_welcome(|it| {
            let mut wrong = it.secrets[0].clone();
            wrong.encrypted_group_secrets.ciphertext[0] ^= 1;
            it.secrets.insert(0, wrong);
        })
    });
    let welcome = welcomed.forge(|welcome| {
        welcome.edit_welcome(|it| {
            let mut wrong = it.secrets[0].clone();
            wrong.encrypted_group_secrets.ciphertext[0] ^= 1;
            it.secrets.push(wrong);
        })
    });
    welcomed.newcomer.join(&welcome).unwrap();
    assert_eq!(*welcomed.newcomer.state().context(), welcomed.commit.next.context);
}

/// V-12.4.3.1-04: what a new member gets is bound to the GroupInfo beside it, and to its init key.
#[test]
fn v_12_4_3_1_04_secrets_are_bound_to_the_group_info() {
    let mut welcomed = Welcomed::new();
    let other = welcomed.forge(|welcome| welcome.edit_group_info(|info| info.signer.0 = 0));
    let other = read(other, &welcomed.newcomer).encrypted_group_info;
    welcomed.refuses(Violation::WelcomeDecryption, |welcome| {
        welcome.edit_welcome(|it| it.encrypted_group_info = other)
    });
    welcomed.refuses(Violation::WelcomeDecryption, |welcome| {
        welcome.edit_welcome(|it| it.secrets[0].encrypted_group_secrets.kem_output[0] ^= 1)
    });
    welcomed.joins();
}

/// V-12.4.3.1-05: a pre-shared key that is not known is missing; once it is, the same Welcome is
/// good.
#[test]
fn v_12_4_3_1_05_a_missing_psk() {
    let mut welcomed = Welcomed::new();
    let secret = Secret::new(&[1; 32]);
    let psks = vec![(psk(b"psk"), secret.clone())];
    let error = welcomed.error(|welcome| welcome.psks(psks.clone()));
    assert!(
        matches!(&error, Error::Unready(Unready::UnknownPsk(missing)) if *missing == psk(b"psk").psk),
        "{error:?}"
    );
    let welcome = welcomed.forge(|welcome| welcome.psks(psks));
    welcomed.newcomer.psks.external.insert(b"psk".to_vec(), secret);
    welcomed.newcomer.join(&welcome).unwrap();
}

/// V-12.4.3.1-06: a group continues one other at most.
#[test]
fn v_12_4_3_1_06_one_psk_of_section_11() {
    let mut welcomed = Welcomed::new();
    let (reinit, branch) = (ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch);
    for usages in [[branch, branch], [branch, reinit], [reinit, branch], [reinit, reinit]] {
        let psks = usages.into_iter().zip(0..).map(|(usage, psk_epoch)| {
            let psk = Psk::Resumption { usage, psk_group_id: b"old".to_vec(), psk_epoch };
            (PreSharedKeyId { psk, psk_nonce: vec![7; 32] }, Secret::new(&[1; 32]))
        });
        let psks = psks.collect();
        welcomed.refuses(Violation::WelcomePskUsage, |welcome| welcome.psks(psks));
    }
    welcomed.joins();
}

/// V-12.4.3.1-08: secrets have the length of the KDF's output.
#[test]
fn v_12_4_3_1_08_lengths_of_secrets() {
    let mut welcomed = Welcomed::new();
    for length in [0, 1, 31, 33] {
        let secret = Secret::new(&vec![7; length]);
        let same = secret.clone();
        welcomed.refuses(Violation::WelcomeSecretLength, |it| it.joiner_secret(same));
        welcomed.refuses(Violation::WelcomeSecretLength, |it| {
            it.edit_secrets(move |_, secrets| secrets.path_secret = Some(secret.clone()))
        });
    }
    welcomed.joins();
}

/// V-12.4.3-04, V-12.4.3.1-09: the GroupInfo is signed by the member that it names, every bit of
/// it.
#[test]
fn v_12_4_3_04_the_group_infos_signature() {
    let mut welcomed = Welcomed::new();
    let other = welcomed.newcomer.signer.clone();
    welcomed.refuses(Violation::GroupInfoSignature, |welcome| welcome.signer(other));
    welcomed.refuses(Violation::GroupInfoSignature, |welcome| {
        welcome.edit_signature(|signature| signature.0[5] ^= 1)
    });
    welcomed.refuses(Violation::GroupInfoSignature, |welcome| {
        welcome.edit_signature(|signature| signature.0.clear())
    });
    welcomed.refuses(Violation::GroupInfoSignature, |welcome| {
        welcome.edit_group_info(|info| info.signer = LeafIndex(0))
    });
    for nobody in [8, 99, u32::MAX] {
        welcomed.refuses(Violation::GroupInfoSigner, |welcome| {
            welcome.edit_group_info(move |info| info.signer = LeafIndex(nobody))
        });
    }
    welcomed.joins();
}

/// V-12.4.3-05: nobody welcomes itself.
#[test]
fn v_12_4_3_05_the_signer_is_not_the_joiner() {
    let mut welcomed = Welcomed::without_path();
    let (own, signer) = (welcomed.commit.added[0].0, welcomed.newcomer.signer.clone());
    welcomed.refuses(Violation::GroupInfoSigner, |welcome| {
        welcome.edit_group_info(move |info| info.signer = own).signer(signer)
    });
    welcomed.joins();
}

/// V-12.4.3-03, V-12.4.3.1-10: a client is not in two groups of one id; the key package is left for
/// another group.
#[test]
fn v_12_4_3_03_group_ids_are_unique() {
    let test = clients(SUITE, 3).unwrap();
    let [alice, bob, carol] = [0, 1, 2].map(|i| &test.clients[i]);
    let id = test.groups[0].id().clone();
    let options = circlet::client::GroupOptions { group_id: Some(id), ..Default::default() };
    let elsewhere = Client::builder("stranger").cipher_suite(SUITE).rng(SeededRng::new(5));
    let elsewhere = elsewhere.clock(test.clock.clone()).build().unwrap();
    let stranger = elsewhere.create_group_with(options).unwrap();
    let key_package = bob.key_package().unwrap();
    let welcome = stranger.invite([key_package.clone()]).unwrap().confirm().unwrap().welcome();
    let before = dump(&test.stores[1]).unwrap();
    let error = bob.join(&welcome).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::GroupExists)), "{error:?}");
    assert!(dump(&test.stores[1]).unwrap() == before);
    assert!(test.groups[0].send(b"still here").is_ok());
    let another = alice.create_group().unwrap();
    bob.join(another.invite([key_package]).unwrap().confirm().unwrap().welcome()).unwrap();
    assert_eq!(carol.groups().unwrap().len(), 1);
}

/// V-12.4.3-03: nor does a client take a GroupInfo of another group with the id of its own for a
/// way back: what it has of its group stays.
#[test]
fn a_group_info_of_another_group_with_the_same_id() {
    let test = clients(SUITE, 2).unwrap();
    let options = circlet::client::GroupOptions {
        group_id: Some(test.groups[0].id().clone()),
        ..Default::default()
    };
    let elsewhere = Client::builder("stranger").cipher_suite(SUITE).rng(SeededRng::new(5));
    let elsewhere = elsewhere.clock(test.clock.clone()).build().unwrap();
    let stranger = elsewhere.create_group_with(options).unwrap();
    let info = stranger.group_info(GroupInfoOptions::default()).unwrap();
    // In the place of one is somebody else, in that of the other nobody.
    for i in [0, 1] {
        let before = dump(&test.stores[i]).unwrap();
        let error = test.clients[i].external_join(&info).stage().unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::GroupExists)), "{error:?}");
        assert!(dump(&test.stores[i]).unwrap() == before);
    }
    let message = test.groups[0].send(b"still here").unwrap();
    assert!(matches!(test.groups[1].receive(message).unwrap(), Received::Message(_)));
}

/// V-12.4.3.1-26: a Welcome that is refused leaves the store as it was; one that is good uses the
/// key package up.
#[test]
fn v_12_4_3_1_26_a_key_package_is_used_up_by_a_join_alone() {
    let test = clients(SUITE, 2).unwrap();
    let [alice, bob] = [0, 1].map(|i| &test.clients[i]);
    let key_package = bob.key_package().unwrap();
    let invite = || {
        let group = alice.create_group().unwrap();
        group.invite([key_package.clone()]).unwrap().confirm().unwrap().welcome()
    };
    let (first, second) = (invite(), invite());
    let mut broken = first.as_bytes().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let before = dump(&test.stores[1]).unwrap();
    assert_violation(&bob.join(&broken).unwrap_err(), Violation::WelcomeDecryption);
    assert!(dump(&test.stores[1]).unwrap() == before);
    bob.join(&first).unwrap();
    let error = bob.join(&second).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage)), "{error:?}");
}

/// V-12.4.3-06: a GroupInfo has the tree and the key for external joins where they are asked for.
#[test]
fn v_12_4_3_06_what_a_group_info_has() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let member = &mut group.members[1];
    for (ratchet_tree, external_pub) in [(false, false), (false, true), (true, false), (true, true)]
    {
        let options = GroupInfoOptions { ratchet_tree, external_pub };
        let info = member.state().group_info(options, &member.signer, &mut member.rng.clone());
        let MlsMessage::GroupInfo(GroupInfo { extensions, group_context, .. }) = info.unwrap()
        else {
            panic!("no GroupInfo")
        };
        let has = |kind| extensions.find(kind).is_some();
        assert_eq!(has(ExtensionType::RATCHET_TREE), ratchet_tree);
        assert_eq!(has(ExtensionType::EXTERNAL_PUB), external_pub);
        assert_eq!(extensions.len(), usize::from(ratchet_tree) + usize::from(external_pub));
        assert_eq!(group_context, *member.state().context());
    }
}

/// V-12.4.3.1-11: the group is of the Welcome's cipher suite.
#[test]
fn v_12_4_3_1_11_the_groups_cipher_suite() {
    let mut welcomed = Welcomed::new();
    for other in [0, 2, 3, 0x0a0a, u16::MAX] {
        welcomed.refuses(Violation::WelcomeCipherSuite, |welcome| {
            welcome.edit_context(move |context| context.cipher_suite = CipherSuite(other))
        });
    }
    welcomed.joins();
}

/// V-12.4.3.1-20: the path secret gives the keys that the tree has.
#[test]
fn v_12_4_3_1_20_the_path_secret() {
    let wrong = Secret::new(&[7; 32]);
    let mut welcomed = Welcomed::new();
    let same = wrong.clone();
    welcomed.refuses(Violation::WelcomePathSecret, |welcome| {
        welcome.edit_secrets(move |_, secrets| secrets.path_secret = Some(same.clone()))
    });
    // That of the node below, from which the right one follows.
    let below = welcomed.commit.steps[0].path_secret.clone();
    welcomed.refuses(Violation::WelcomePathSecret, |welcome| {
        welcome.edit_secrets(move |_, secrets| secrets.path_secret = Some(below.clone()))
    });
    welcomed.joins();
    // There was no path: the lowest node above both is another's, or blank.
    for mut welcomed in [Welcomed::without_path(), at_a_blank_root()] {
        let wrong = wrong.clone();
        welcomed.refuses(Violation::WelcomePathSecret, |welcome| {
            welcome.edit_secrets(move |_, secrets| secrets.path_secret = Some(wrong.clone()))
        });
        welcomed.joins();
    }
}

/// Somebody whom member 1 of eight adds, without a path: only the new root is above both.
fn at_a_blank_root() -> Welcomed {
    let mut group = TestGroup::new(SUITE, 8).unwrap();
    let mut newcomer = group.newcomer("new").unwrap();
    let add = Proposal::Add(newcomer.key_package().unwrap());
    let mut insider = group.insider(1).unwrap();
    let commit = insider.commit().proposals([add]).without_path().public().unwrap();
    Welcomed { newcomer, commit }
}

/// V-12.4.3.1-21: nodes with nobody on their other side have no secret of the path.
#[test]
fn v_12_4_3_1_21_a_path_past_blank_nodes() {
    let mut group = TestGroup::new(SUITE, 9).unwrap();
    for gone in 3..8 {
        group.remove(0, gone).unwrap();
    }
    let newcomer = group.add(0, "new").unwrap();
    assert_eq!(group.leaf(newcomer).unwrap(), LeafIndex(3));
    let nodes = tree_nodes(group.members[newcomer].state().tree());
    assert!(nodes[3].is_some() && nodes[7].is_none() && nodes[15].is_some());
    for committer in [8, 1, newcomer] {
        group.update(committer).unwrap();
    }
}

/// V-12.4.3.1-22: no path secret where there was a path is an error; where there was none the
/// joiner is unmerged, and knows the key of its leaf.
#[test]
fn v_12_4_3_1_22_no_path_secret() {
    let mut welcomed = Welcomed::new();
    welcomed.refuses(Violation::WelcomePathSecret, |welcome| {
        welcome.edit_secrets(|_, secrets| secrets.path_secret = None)
    });
    welcomed.joins();

    let mut welcomed = Welcomed::without_path();
    let unlisted = |nodes: &mut Vec<Option<Node>>| {
        nodes.iter_mut().flatten().filter_map(Node::parent_mut).for_each(|parent| {
            parent.unmerged_leaves.clear();
        });
    };
    welcomed.refuses(Violation::ParentHash, |welcome| welcome.edit_tree(unlisted));
    welcomed.joins();
}

/// V-12.4.3.1-23: the confirmation tag is that of the epoch.
#[test]
fn v_12_4_3_1_23_the_confirmation_tag() {
    let mut welcomed = Welcomed::new();
    let edits: [fn(&mut Vec<u8>); 5] = [
        |tag| tag[0] ^= 1,
        |tag| tag.clear(),
        |tag| tag.truncate(1),
        |tag| tag.truncate(31),
        |tag| tag.push(0),
    ];
    for edit in edits {
        welcomed.refuses(Violation::ConfirmationTag, |welcome| {
            welcome.edit_group_info(move |info| edit(&mut info.confirmation_tag.0))
        });
    }
    welcomed.joins();
}

/// V-12.4.3.1-25, V-12.4.3-02, V-13.0-08: the joiner supports what the group has and requires, as all
/// others do.
#[test]
fn v_12_4_3_1_25_what_the_group_has_and_requires() {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0xf001, CustomProposal::default());
    context.extension_types.insert(0xf002);
    let required = RequiredCapabilities {
        proposal_types: vec![ProposalType(0xf001)],
        ..RequiredCapabilities::default()
    };
    let has = [required.to_extension().unwrap(), extension(0xf002, b"")];
    let builder = TestGroup::builder(SUITE).size(3).context(context);
    let mut group = builder.extensions(Extensions::from_iter(has)).build().unwrap();
    type Edit = fn(&mut Capabilities);
    let lacks: [(Edit, Option<Violation>); 3] = [
        (
            |capabilities| capabilities.extensions.clear(),
            Some(Violation::GroupContextExtensionUnknown),
        ),
        (|capabilities| capabilities.proposals.clear(), Some(Violation::RequiredCapabilities)),
        (|_| {}, None),
    ];
    for (edit, expected) in lacks {
        let mut newcomer = group.newcomer("new").unwrap();
        edit(&mut newcomer.template.capabilities);
        let add = Proposal::Add(newcomer.key_package().unwrap());
        let mut insider = group.insider(1).unwrap();
        let commit = insider.commit().proposals([add]).without_path().public().unwrap();
        let mut welcomed = Welcomed { newcomer, commit };
        match expected {
            None => welcomed.joins(),
            // By this group's genuine Welcome it can't join.
            Some(expected) => {
                let genuine = welcomed.forge(|welcome| welcome);
                assert_violation(&refuse(&mut welcomed.newcomer, &genuine), expected);
            }
        }
    }
}

/// V-12.4.3-02, V-13.0-08: the joiner supports every extension of the group.
#[test]
fn v_12_4_3_02_the_groups_extensions() {
    let mut welcomed = Welcomed::new();
    for kind in [0xf001, 0x0a0a, 6] {
        welcomed.refuses(Violation::GroupContextExtensionUnknown, |welcome| {
            welcome.edit_context(move |context| context.extensions.set(extension(kind, &[])))
        });
    }
    welcomed.joins();
}

/// V-12.4.3-01, V-13.0-05: what a GroupInfo has that is not known is ignored.
#[test]
fn v_12_4_3_01_unknown_extensions_of_a_group_info() {
    for kind in [0x0a0a, 0xdada, 0xf001, 6] {
        let mut welcomed = Welcomed::new();
        let welcome = welcomed.forge(|welcome| {
            welcome.edit_group_info(move |info| info.extensions.set(extension(kind, b"what?")))
        });
        welcomed.newcomer.join(&welcome).unwrap();
    }
}

/// V-5.1-04: of a suite that is not supported here a Welcome, a GroupInfo and a KeyPackage each are
/// an error that says so, before anything in them is looked at: nothing but the suite is right in
/// these.
#[test]
fn an_unsupported_suite() -> Result<(), Error> {
    let unknown = CipherSuite(0x0a0a);
    let named = |error: &Error| matches!(error, Error::Unready(Unready::UnsupportedSuite(found)) if *found == unknown);
    let test = clients(SUITE, 2)?;
    let info = test.groups[0].group_info(GroupInfoOptions::default())?;
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut commit = group.insider(1)?.commit().proposals([add]).private()?;
    let welcome = commit.welcome().edit_welcome(|welcome| {
        welcome.cipher_suite = unknown;
        welcome.encrypted_group_info.clear();
    });
    let welcome = welcome.build()?;
    let error = newcomer.refuses(&welcome);
    assert!(named(&error), "{error:?}");
    newcomer.would_join(commit.welcome().build()?)?;
    let error = test.clients[0].join(&welcome).unwrap_err();
    assert!(named(&error), "{error:?}");

    let context = &newcomer.settings.context;
    let MlsMessage::GroupInfo(mut info) = MlsMessage::read(&info, context)? else { panic!() };
    info.group_context.cipher_suite = unknown;
    info.signature.0.clear();
    let error = newcomer.external_join(info.clone(), None, Vec::new()).unwrap_err();
    assert!(named(&error), "{error:?}");
    let info = MlsMessage::GroupInfo(info).to_bytes()?;
    let error = test.clients[1].external_join(&info).stage().unwrap_err();
    assert!(named(&error), "{error:?}");

    let forged = newcomer.forge_key_package().edit(|content| {
        content.cipher_suite = unknown;
        content.init_key = HpkePublicKey::new(&[]);
    });
    let add = Proposal::Add(forged.build()?);
    let commit = group.insider(1)?.commit().proposals([add]).private()?;
    let error = group.refuses(0, commit);
    assert_violation(&error, Violation::KeyPackageSuite);
    Ok(())
}
