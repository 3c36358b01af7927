//! What all members have to agree on.

use super::world::{What, World};

impl World {
    /// All members see the same epoch.
    pub(super) fn check_views(&mut self) -> Result<(), What> {
        let mut first: Option<(String, crate::member::View)> = None;
        for player in &mut self.players {
            let name = player.name.clone();
            let view = player.member.view();
            let view = view.map_err(|fault| What(format!("{name} sees nothing: {fault}")))?;
            match &first {
                None => first = Some((name, view)),
                Some((other, seen)) => {
                    if let Some(what) = view.difference(seen) {
                        return Err(What(format!("{other} and {name} differ in the {what}")));
                    }
                }
            }
        }
        let Some((_, view)) = first else { return Err(What("nobody is left".into())) };
        let mut names: Vec<_> = self.players.iter().map(|one| one.name.as_bytes()).collect();
        let mut seen: Vec<_> = view.roster.iter().map(|(_, name, _)| name.as_slice()).collect();
        (names.sort_unstable(), seen.sort_unstable());
        if names != seen {
            return Err(What("the roster is not that of the history".into()));
        }
        self.log.say(format!("epoch {}: {}", view.epoch, rows(&view)));
        self.view = Some(view);
        Ok(())
    }
}

fn rows(view: &crate::member::View) -> String {
    let row = |(leaf, name, _): &(u32, Vec<u8>, Vec<u8>)| {
        format!("{leaf} {}", String::from_utf8_lossy(name))
    };
    view.roster.iter().map(row).collect::<Vec<_>>().join(", ")
}
