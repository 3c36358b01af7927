//! Vectors with one thing wrong fail, and the report names the field.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use circlet_vectors::{Report, provider, type_names, verify_json};
use serde_json::{Value, json};

fn cases(type_name: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let text = fs::read_to_string(folder.join(format!("{type_name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn verify(cases: Value) -> Report {
    verify_json(cases, provider("default").unwrap()).unwrap()
}

/// Changes the value at `pointer` and expects that the failure begins with `named` and that
/// every other case is still right.
fn expect_failure(type_name: &str, pointer: &str, named: &str) {
    let mut cases = cases(type_name);
    let count = cases.as_array().unwrap().len();
    let field = cases.pointer_mut(pointer);
    let field = field.unwrap_or_else(|| panic!("{type_name} has no {pointer}"));
    corrupt(field);
    let report = verify(cases);
    assert_eq!((report.failed(), report.passed()), (1, count - 1), "{type_name} {pointer}");
    let why: Vec<&String> =
        report.rows.iter().filter_map(|row| row.first_failure.as_ref()).collect();
    assert!(
        why.len() == 1 && why[0].starts_with(named),
        "{type_name} {pointer}: expected {named}, got {why:?}"
    );
}

/// One bit of the last byte of hexadecimal text, or of a number.
fn corrupt(value: &mut Value) {
    *value = match &*value {
        Value::String(text) => {
            let (rest, last) = text.split_at(text.len() - 1);
            let last = last.chars().next().unwrap().to_digit(16).unwrap() ^ 1;
            json!(format!("{rest}{last:x}"))
        }
        Value::Number(number) => json!(number.as_u64().unwrap() ^ 1),
        Value::Null => json!(1),
        other => panic!("{other} has no bit to flip"),
    };
}

/// Per line the type, what is corrupted, and what is named.
const CORRUPTIONS: &[(&str, &str, &str)] = &[
    ("crypto-basics", "/0/ref_hash/out", "[0].ref_hash.out: "),
    ("crypto-basics", "/0/ref_hash/value", "[0].ref_hash.out: "),
    ("crypto-basics", "/0/expand_with_label/out", "[0].expand_with_label.out: "),
    ("crypto-basics", "/1/derive_secret/out", "[1].derive_secret.out: "),
    ("crypto-basics", "/1/derive_tree_secret/out", "[1].derive_tree_secret.out: "),
    ("crypto-basics", "/1/derive_tree_secret/generation", "[1].derive_tree_secret.out: "),
    ("crypto-basics", "/0/sign_with_label/signature", "[0].sign_with_label.signature: "),
    ("crypto-basics", "/0/sign_with_label/content", "[0].sign_with_label.signature: "),
    ("crypto-basics", "/0/sign_with_label/priv", "[0].sign_with_label.pub: "),
    ("crypto-basics", "/0/encrypt_with_label/ciphertext", "[0].encrypt_with_label.ciphertext: "),
    ("crypto-basics", "/0/encrypt_with_label/kem_output", "[0].encrypt_with_label.ciphertext: "),
    ("crypto-basics", "/0/encrypt_with_label/plaintext", "[0].encrypt_with_label.plaintext: "),
    ("crypto-basics", "/0/encrypt_with_label/pub", "[0].encrypt_with_label.pub: "),
    ("deserialization", "/3/length", "[3].length: "),
    ("deserialization", "/3/vlbytes_header", "[3].length: "),
    ("key-schedule", "/0/epochs/0/group_context", "[0].epochs[0].group_context: "),
    ("key-schedule", "/0/epochs/1/joiner_secret", "[0].epochs[1].joiner_secret: "),
    ("key-schedule", "/0/epochs/1/welcome_secret", "[0].epochs[1].welcome_secret: "),
    ("key-schedule", "/0/epochs/1/init_secret", "[0].epochs[1].init_secret: "),
    ("key-schedule", "/0/epochs/4/external_pub", "[0].epochs[4].external_pub: "),
    ("key-schedule", "/0/epochs/4/exporter/secret", "[0].epochs[4].exporter.secret: "),
    ("key-schedule", "/0/epochs/4/exporter/label", "[0].epochs[4].exporter.secret: "),
    ("key-schedule", "/0/epochs/2/psk_secret", "[0].epochs[2].welcome_secret: "),
    ("key-schedule", "/0/initial_init_secret", "[0].epochs[0].joiner_secret: "),
    ("message-protection", "/0/proposal_pub", "[0].proposal_pub: "),
    ("message-protection", "/0/proposal_priv", "[0].proposal_priv: "),
    ("message-protection", "/0/commit_pub", "[0].commit_pub: "),
    ("message-protection", "/0/commit_priv", "[0].commit_priv: "),
    ("message-protection", "/0/application_priv", "[0].application_priv: "),
    ("message-protection", "/0/application", "[0].application_priv.content: "),
    ("message-protection", "/0/membership_key", "[0].proposal_pub: "),
    ("message-protection", "/0/signature_pub", "[0].signature_pub: "),
    ("message-protection", "/0/sender_data_secret", "[0].proposal_priv: "),
    ("message-protection", "/0/encryption_secret", "[0].proposal_priv: "),
    ("psk_secret", "/1/psk_secret", "[1].psk_secret: "),
    ("psk_secret", "/1/psks/0/psk_nonce", "[1].psk_secret: "),
    ("secret-tree", "/0/sender_data/key", "[0].sender_data.key: "),
    ("secret-tree", "/0/sender_data/nonce", "[0].sender_data.nonce: "),
    ("secret-tree", "/1/leaves/7/1/handshake_key", "[1].leaves[7][1].handshake_key: "),
    ("secret-tree", "/1/leaves/3/0/application_nonce", "[1].leaves[3][0].application_nonce: "),
    ("secret-tree", "/1/encryption_secret", "[1].leaves[0][0].application_key: "),
    (
        "transcript-hashes",
        "/0/confirmed_transcript_hash_after",
        "[0].confirmed_transcript_hash_after: ",
    ),
    (
        "transcript-hashes",
        "/0/interim_transcript_hash_after",
        "[0].interim_transcript_hash_after: ",
    ),
    ("transcript-hashes", "/0/confirmation_key", "[0].authenticated_content.confirmation_tag: "),
    (
        "transcript-hashes",
        "/0/authenticated_content",
        "[0].authenticated_content.confirmation_tag: ",
    ),
    ("tree-math", "/3/root", "[3].root: "),
    ("tree-math", "/3/left/3", "[3].left[3]: "),
    ("tree-math", "/3/parent/7", "[3].parent[7]: "),
    ("tree-math", "/3/sibling/0", "[3].sibling[0]: "),
    ("tree-math", "/3/n_nodes", "[3].n_nodes: "),
    (
        "passive-client-welcome",
        "/0/initial_epoch_authenticator",
        "[0].initial_epoch_authenticator: ",
    ),
    ("passive-client-welcome", "/0/welcome", "[0].welcome: "),
    ("passive-client-welcome", "/0/init_priv", "[0].init_priv"),
    ("passive-client-welcome", "/0/encryption_priv", "[0].encryption_priv"),
    ("passive-client-welcome", "/0/signature_priv", "[0].signature_priv"),
    ("passive-client-welcome", "/1/ratchet_tree", "[1].welcome: "),
    ("passive-client-welcome", "/1/external_psks/0/psk", "[1].welcome: "),
    ("passive-client-handling-commit", "/0/epochs/0/commit", "[0].epochs[0].commit: "),
    ("passive-client-handling-commit", "/0/epochs/1/proposals/0", "[0].epochs[1].proposals[0]: "),
    (
        "passive-client-handling-commit",
        "/0/epochs/1/epoch_authenticator",
        "[0].epochs[1].epoch_authenticator: ",
    ),
    (
        "passive-client-random",
        "/0/epochs/7/epoch_authenticator",
        "[0].epochs[7].epoch_authenticator: ",
    ),
    ("passive-client-random", "/0/epochs/7/commit", "[0].epochs[7].commit: "),
    ("tree-operations", "/0/tree_before", "[0].tree_hash_before: "),
    ("tree-operations", "/0/tree_hash_before", "[0].tree_hash_before: "),
    ("tree-operations", "/4/proposal", "[4].proposal: "),
    ("tree-operations", "/2/proposal_sender", "[2].tree_after: "),
    ("tree-operations", "/0/tree_after", "[0].tree_after: "),
    ("tree-operations", "/0/tree_hash_after", "[0].tree_hash_after: "),
    ("tree-validation", "/0/tree", "[0].tree"),
    ("tree-validation", "/0/tree_hashes/1", "[0].tree_hashes[1]: "),
    ("tree-validation", "/1/resolutions/0/0", "[1].resolutions[0]: "),
    ("tree-validation", "/0/group_id", "[0].tree"),
    (
        "treekem",
        "/0/leaves_private/0/path_secrets/0/path_secret",
        "[0].leaves_private[0].path_secret: ",
    ),
    ("treekem", "/0/leaves_private/0/encryption_priv", "[0].leaves_private[0].encryption_priv: "),
    ("treekem", "/0/leaves_private/0/signature_priv", "[0].leaves_private[0].signature_priv: "),
    ("treekem", "/0/update_paths/0/update_path", "[0].update_paths[0].path_secrets"),
    ("treekem", "/0/update_paths/0/path_secrets/1", "[0].update_paths[0].path_secrets[1]: "),
    ("treekem", "/0/update_paths/0/commit_secret", "[0].update_paths[0].commit_secret: "),
    ("treekem", "/0/update_paths/0/tree_hash_after", "[0].update_paths[0].tree_hash_after: "),
    ("treekem", "/0/confirmed_transcript_hash", "[0].update_paths[0].path_secrets"),
    ("welcome", "/0/welcome", "[0].welcome: "),
    ("welcome", "/0/init_priv", "[0].welcome.init_priv: "),
    ("welcome", "/0/signer_pub", "[0].GroupInfo: "),
    ("welcome", "/0/key_package", "[0].welcome.new_member: "),
];

#[test]
fn a_flipped_bit_fails_and_its_field_is_named() {
    for (type_name, pointer, named) in CORRUPTIONS {
        expect_failure(type_name, pointer, named);
    }
}

/// Messages mean nothing, so that most bits of them may be any: they are cut and extended.
#[test]
fn a_message_that_is_cut_or_extended_fails() {
    let fields: Vec<String> = cases("messages")[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 17);
    for field in fields {
        for extend in [false, true] {
            let mut cases = cases("messages");
            let value = cases[0].get_mut(&field).unwrap();
            let text = value.as_str().unwrap();
            *value = match extend {
                true => json!(format!("{text}00")),
                false => json!(text[..text.len() - 2]),
            };
            let report = verify(cases);
            assert_eq!(report.failed(), 1, "{field}");
            let why = report.rows[0].first_failure.clone().unwrap();
            assert!(why.starts_with(&format!("[0].{field}: ")), "{field}: {why}");
        }
    }
}

/// The working group's vectors have valid prefixes only.
#[test]
fn length_prefixes_that_are_not_minimal_or_begin_with_11_fail() {
    for (header, length) in [
        ("4000", 0),
        ("403f", 63),
        ("80000000", 0),
        ("80000040", 64),
        ("80003fff", 16_383),
        ("c0", 0),
        ("ffffffff", 0x3fff_ffff),
        ("c000000000000000", 0),
        ("", 0),
        ("40", 0),
        ("800000", 0),
        ("0000", 0),
    ] {
        let report = verify(json!([{ "vlbytes_header": header, "length": length }]));
        assert_eq!((report.passed(), report.failed()), (0, 1), "{header}");
        let why = report.rows[0].first_failure.clone().unwrap();
        assert!(why.starts_with("[0].vlbytes_header: "), "{header}: {why}");
    }
}

#[test]
fn a_case_that_cannot_be_read_fails() {
    let mut cases = cases("tree-math");
    cases[1]["left"] = json!("none");
    let report = verify(cases);
    assert_eq!(report.failed(), 1);
    let why = report.rows[0].first_failure.clone().unwrap();
    assert!(why.starts_with("[1].the case can't be read"), "{why}");
}

#[test]
fn no_type_is_left_out() {
    let corrupted: BTreeSet<&str> =
        CORRUPTIONS.iter().map(|(name, _, _)| *name).chain(["messages"]).collect();
    assert_eq!(corrupted, type_names().collect());
}
