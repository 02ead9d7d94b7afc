//! Why a session is in its state, as a page for people. PURE.

use cm_protocol::{Explanation, Receipt};

use super::clean::{clean, clean_line, pad, width};
use super::paint::Paint;
use super::words::{self, Tone, prompt};

/// Columns of a heading or name on the left.
const LEFT: usize = 10;

/// The page: what holds now, who said what, what is asked, what led here, what was done, the screen.
pub fn page(given: &Explanation, name: Option<&str>, paint: Paint) -> String {
    let mut page = Page { out: String::new(), paint };
    head(&mut page, given, name);
    channels(&mut page, given);
    if let Some(asked) = &given.prompt {
        page.title("waits for an answer");
        page.line(&paint.attention(&prompt::asks(asked)));
        prompt::details(&given.session_id, asked).iter().for_each(|line| page.line(line));
    }
    if !given.steps.is_empty() {
        page.title("what led here");
    }
    for step in &given.steps {
        let state = paint.state(step.state, &pad(step.state.as_str(), LEFT));
        page.line(&format!("{}  {state}{}", words::clock(step.at), clean(&step.rule)));
    }
    if !given.receipts.is_empty() {
        page.title("what was done about prompts");
    }
    given.receipts.iter().for_each(|receipt| done(&mut page, receipt));
    let screen: Vec<String> =
        given.screen.iter().map(|line| clean_line(line).trim_end().to_owned()).collect();
    if let Some(last) = screen.iter().rposition(|line| !line.is_empty()) {
        page.title("the screen");
        screen[..=last].iter().for_each(|line| page.line(&paint.dim(format!("┊ {line}").trim_end())));
    }
    page.out
}

fn head(page: &mut Page, given: &Explanation, name: Option<&str>) {
    let paint = page.paint;
    let id = words::short(&given.session_id);
    let name = name.map(|name| format!("  {}", clean(name))).unwrap_or_default();
    let version = given.tool_version.as_deref().map(|v| format!(" {}", clean(v))).unwrap_or_default();
    let reason = given.reason.as_deref().map(|reason| format!(": {}", clean(reason))).unwrap_or_default();
    page.fact("session", &format!("{}{name}", paint.bold(&id)));
    page.fact("tool", &format!("{}{version}", clean(&given.tool)));
    page.fact("profile", &clean(&given.profile));
    page.fact("policy", &clean(&given.policy));
    page.fact("state", &format!("{}{reason}", paint.state(given.state, given.state.as_str())));
    page.fact("rule", &clean(&given.rule));
    page.fact("authority", &clean(&given.authority));
    page.fact("title", &clean(&given.title));
}

fn channels(page: &mut Page, given: &Explanation) {
    if given.channels.is_empty() {
        return;
    }
    page.title("what each channel said last");
    for channel in &given.channels {
        let ago = format!("{} ago", words::age(channel.ago));
        page.line(&format!(
            "{}{}{}",
            pad(&clean(&channel.name), LEFT),
            pad(&ago, LEFT),
            clean(&channel.says)
        ));
    }
}

fn done(page: &mut Page, receipt: &Receipt) {
    let (word, text, tone) = prompt::receipt(receipt);
    let word = pad(&word, LEFT);
    let word = if tone == Tone::Attention { page.paint.attention(&word) } else { word };
    let keys = receipt.keys.iter().map(|key| clean(key)).collect::<Vec<_>>().join(" ");
    let how = match (receipt.channel.as_str(), keys.is_empty()) {
        ("hook", _) => "in the hook's answer".to_owned(),
        (_, false) => format!("with {keys}"),
        (channel, true) => format!("on the {}", clean(channel)),
    };
    page.line(&format!("{}  {word}{text} ({how})", words::clock(receipt.at)));
}

struct Page {
    out: String,
    paint: Paint,
}

impl Page {
    fn title(&mut self, text: &str) {
        self.out.push_str(&format!("\n{}\n", self.paint.dim(text)));
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(format!("  {text}").trim_end());
        self.out.push('\n');
    }

    /// A name and what holds; nothing where nothing is known.
    fn fact(&mut self, name: &str, text: &str) {
        if width(text) > 0 {
            self.out.push_str(format!("{}{text}", self.paint.dim(&pad(name, LEFT + 2))).trim_end());
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use cm_protocol::{Channel, SessionId, State, Step};

    use super::*;
    use crate::report::words::prompt::tests::permission;

    fn given() -> Explanation {
        let channel = |name: &str, says: &str, ago| Channel { name: name.into(), says: says.into(), ago };
        let step = |at, state, rule: &str| Step { at, state, rule: rule.into() };
        let receipt = Receipt {
            at: 1_700_000_001.0,
            prompt: permission(),
            verdict: "allow".into(),
            rule: "careful/harmless commands".into(),
            channel: "screen".into(),
            option: Some("Yes".into()),
            keys: vec!["1".into()],
            before: Vec::new(),
            after: Vec::new(),
            outcome: "no_effect".into(),
        };
        let hooked = Receipt {
            channel: "hook".into(),
            keys: Vec::new(),
            outcome: "accepted".into(),
            ..receipt.clone()
        };
        Explanation {
            session_id: SessionId::from_bits(u128::MAX / 6),
            tool: "claude".into(),
            tool_version: Some("2.1.330".into()),
            profile: "claude 3".into(),
            policy: "careful".into(),
            state: State::Waiting,
            reason: Some("asks to run git push".into()),
            rule: "claude/permission".into(),
            authority: "hooks".into(),
            channels: vec![
                channel("hooks", "PermissionRequest Bash", 12.0),
                channel("screen", "a dialog\x1b[2J", 0.2),
            ],
            prompt: Some(permission()),
            screen: vec!["one".into(), String::new(), "\x1b[1mtwo".into(), String::new()],
            title: "✳ claude".into(),
            steps: vec![
                step(1_700_000_000.0, State::Running, "claude/tool Bash"),
                step(1_700_000_002.0, State::Waiting, "claude/permission"),
            ],
            receipts: vec![hooked, receipt],
        }
    }

    #[test]
    fn everything_that_is_known() {
        insta::assert_snapshot!(page(&given(), Some("build"), Paint::OFF), @r"
        session     2aaaaaaa  build
        tool        claude 2.1.330
        profile     claude 3
        policy      careful
        state       waiting: asks to run git push
        rule        claude/permission
        authority   hooks
        title       ✳ claude

        what each channel said last
          hooks     12s ago   PermissionRequest Bash
          screen    0s ago    a dialog

        waits for an answer
          asks to run git push ⏎ origin main
          | git push
          |  origin main
          > 1    Yes
            2    Yes, and don't ask again  (from now on)
            Esc  No, and say why  (refuses)
          left to you by careful/other commands
          cm-fleet approve 2aaaaaaa/3   cm-fleet deny 2aaaaaaa/3

        what led here
          22:13:20Z  running   claude/tool Bash
          22:13:22Z  waiting   claude/permission

        what was done about prompts
          22:13:21Z  allowed   git push ⏎ origin main, by careful/harmless commands (in the hook's answer)
          22:13:21Z  allowed   git push ⏎ origin main, by careful/harmless commands; no effect was seen (with 1)

        the screen
          ┊ one
          ┊
          ┊ two
        ");
    }

    #[test]
    fn the_little_that_is_known_of_a_script() {
        let bare = Explanation {
            session_id: SessionId::from_bits(1),
            tool: "shell".into(),
            profile: "shell 1".into(),
            state: State::Running,
            rule: "process/running".into(),
            authority: "process".into(),
            ..Explanation::default()
        };
        insta::assert_snapshot!(page(&bare, None, Paint::OFF), @r"
        session     00000000
        tool        shell
        profile     shell 1
        state       running
        rule        process/running
        authority   process
        ");
    }
}
