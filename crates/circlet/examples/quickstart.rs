//! Three people hold an end-to-end encrypted conversation that survives a restart.
//!
//! `cargo run --release --example quickstart`

use std::error::Error;
use std::path::Path;

use circlet::storage::FileStorage;
use circlet::{Client, Group, Received};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    println!("\n  Circlet: an end-to-end encrypted conversation (MLS, RFC 9420)\n");

    heading("Three people, each with a store of their own on disk");
    let people = ["alice", "bob", "carol"];
    let [alice, bob, carol] = people.map(|name| create(name, path));
    let (alice, bob, carol) = (alice?, bob?, carol?);
    note(&format!("in {}", path.display()));

    heading("Alice makes a group and invites Bob and Carol");
    let alices = alice.create_group()?;
    let pending = alices.invite([bob.key_package()?, carol.key_package()?])?;
    note(&format!("the Commit for the delivery service: {} bytes", pending.message().len()));
    let welcome = pending.confirm()?.welcome();
    note(&format!("one Welcome for both: {} bytes", welcome.len()));
    let bobs = bob.join(&welcome)?;
    let carols = carol.join(&welcome)?;
    show_epoch(&alices)?;

    heading("They talk");
    say(&alices, "Hello, you two!", &[&bobs, &carols])?;
    say(&bobs, "Hi Alice. Who else can read this?", &[&alices, &carols])?;
    say(&carols, "Nobody but us three.", &[&alices, &bobs])?;

    heading("Everybody is dropped from memory and opened again from disk");
    let id = alices.id().clone();
    drop((alices, bobs, carols, alice, bob, carol));
    let [alice, bob, carol] = people.map(|name| open(name, path));
    let (alice, bob, carol) = (alice?, bob?, carol?);
    let (alices, bobs, carols) = (alice.group(&id)?, bob.group(&id)?, carol.group(&id)?);
    show_epoch(&bobs)?;
    say(&bobs, "I had to restart. Still here?", &[&alices, &carols])?;
    say(&alices, "Still here.", &[&bobs, &carols])?;

    heading("Bob renews his keys, so that a key stolen earlier reads nothing from now on");
    let pending = bobs.update()?;
    let commit = pending.message().clone();
    pending.confirm()?;
    for group in [&alices, &carols] {
        group.receive(&commit)?;
    }
    show_epoch(&carols)?;

    heading("Alice removes Carol");
    let leaf = carols.own_member()?.leaf_index;
    let pending = alices.remove(leaf)?;
    let commit = pending.message().clone();
    pending.confirm()?;
    bobs.receive(&commit)?;
    match carols.receive(&commit)? {
        Received::Removed(change) => {
            note(&format!("Carol learns that {} removed her", change.outcome().committer));
        }
        other => return Err(format!("Carol should be gone, but got {other:?}").into()),
    }
    show_epoch(&alices)?;
    let secret = say(&alices, "Now it's only the two of us, Bob.", &[&bobs])?;
    match carol.receive(&secret) {
        Err(error) => note(&format!("Carol can't read that: {error}")),
        Ok(other) => return Err(format!("Carol read what she should not: {other:?}").into()),
    }

    heading("Both are sure to be in the same epoch, and share a key for other uses");
    let same = alices.epoch_authenticator()? == bobs.epoch_authenticator()?;
    let exported = alices.export("example", b"", 32)? == bobs.export("example", b"", 32)?;
    note(&format!("epoch authenticators equal: {}", yes(same)));
    note(&format!("exported secrets equal:     {}", yes(exported)));
    if !(same && exported) {
        return Err("Alice and Bob differ".into());
    }
    println!("\n  All went well.\n");
    Ok(())
}

fn create(name: &str, folder: &Path) -> Result<Client, Box<dyn Error>> {
    let store = FileStorage::open(folder.join(format!("{name}.circlet")))?;
    Ok(Client::builder(name).storage(store).build()?)
}

fn open(name: &str, folder: &Path) -> Result<Client, Box<dyn Error>> {
    let store = FileStorage::open(folder.join(format!("{name}.circlet")))?;
    Ok(Client::builder(name).storage(store).open()?)
}

/// Sends a text, and has everybody else read it.
fn say(from: &Group, text: &str, to: &[&Group]) -> Result<Vec<u8>, Box<dyn Error>> {
    let wire = from.send(text)?;
    println!("    {:>5} says     «{text}»", from.own_member()?.to_string());
    println!("          on wire  {}… ({} bytes)", hex(&wire, 24), wire.len());
    for group in to {
        match group.receive(&wire)? {
            Received::Message(message) => {
                let text = String::from_utf8_lossy(message.data());
                let (reader, sender) = (group.own_member()?.to_string(), message.sender());
                println!("    {reader:>5} reads    «{text}», from {sender}");
                // The application has it now: it need not come again after a restart.
                group.client().acknowledge(message.id())?;
            }
            other => return Err(format!("no message: {other:?}").into()),
        }
    }
    // The delivery service has it.
    from.client().acknowledge(wire.id())?;
    Ok(wire.to_vec())
}

fn show_epoch(group: &Group) -> Result<(), Box<dyn Error>> {
    let members: Vec<String> = group.members()?.iter().map(ToString::to_string).collect();
    note(&format!("epoch {}: {}", group.epoch()?, members.join(", ")));
    Ok(())
}

fn heading(text: &str) {
    println!("\n  ■ {text}");
}

fn note(text: &str) {
    println!("    · {text}");
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}
