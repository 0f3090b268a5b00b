//! Completions and man pages, as a shell and a reader meet them.

use std::process::Command;

use offramp_tests::{Sandbox, workspace};

/// What bash offers for a line whose last word is not complete.
fn offered(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let line = words.join(" ");
    let at = words.len() - 1;
    let script = format!(
        "source ./offramp.bash; COMP_WORDS=({line}); COMP_CWORD={at}; \
         _offramp offramp '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words[at],
        words[at - 1]
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(sandbox.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = sandbox.offramp(&["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{shell}");
        for word in ["reproduce", "power-modes"] {
            assert!(ran.out.contains(word), "{shell}: {word}");
        }
        sandbox.write(&format!("offramp.{shell}"), ran.out);
    }
    assert_eq!(offered(&sandbox, &["offramp", "repr"]), ["reproduce"]);
    assert_eq!(offered(&sandbox, &["offramp", "run", "--iso"]), ["--isolate"]);
    assert_eq!(offered(&sandbox, &["offramp", "run", "--format", "j"]), ["json"]);
    assert_eq!(sandbox.offramp(&["completions", "cmd"]).code, 2);
}

#[test]
fn each_command_has_a_man_page() {
    let sandbox = Sandbox::new();
    let ran = sandbox.offramp(&["man", "--out", "share/man1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // The README names every command.
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let named = readme.lines().filter_map(|line| line.strip_prefix("| `offramp "));
    let commands: Vec<&str> = named.map(|line| line.split([' ', '`']).next().unwrap()).collect();
    assert!(commands.len() > 12, "{commands:?}");
    for command in commands {
        let page = sandbox.read(&format!("share/man1/offramp-{command}.1"));
        assert!(page.contains(".SH OPTIONS"), "{command}: {page}");
    }
    assert!(sandbox.read("share/man1/offramp-run.1").contains("isolate"));
    let ran = sandbox.offramp(&["man", "--out", "share/man1/offramp.1"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("name a folder that you may write to"), "{}", ran.err);
}
