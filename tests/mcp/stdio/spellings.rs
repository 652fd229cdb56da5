//! Messages that two readers could read in two ways. Whatever a server makes of them, it gets no call that
//! the engine has not claimed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::PathBuf;

use super::{Place, Session};

/// Reads as leniently as it can: lines end where any reader ends one, several messages may be on a line, a
/// message may be in batches, and members are found in any case. Of duplicate members the one counts that
/// its first argument says. Each call that it finds is an effect.
const PYTHON: &str = r#"
import json, re, sys
which, effects = sys.argv[1], sys.argv[2]
def members(pairs):
    found = {}
    for name, value in pairs:
        name = name.strip().lower() if which == "folded" else name
        if which != "first" or name not in found:
            found[name] = value
    return found
decoder = json.JSONDecoder(object_pairs_hook=members, strict=False)
def messages(text):
    text = re.sub(r"/\*.*?\*/|//.*", "", text)
    text = re.sub(r",\s*([}\]])", r"\1", text)
    while text:
        text = text.lstrip(" \t\r\n,;\0\ufeff\x0b\x0c\xa0")
        if not text: return
        try:
            message, end = decoder.raw_decode(text)
            yield message
        except ValueError:
            end = 1
            while end < len(text) and text[end] not in "{[": end += 1
        text = text[end:]
def act(message):
    if isinstance(message, list):
        for one in message: act(one)
    elif isinstance(message, dict):
        method = message.get("method")
        if isinstance(method, str) and re.sub(r"[^a-z/]", "", method.lower()) == "tools/call":
            params = message.get("params")
            if isinstance(params, dict) and "name" in params:
                with open(effects, "a") as file:
                    file.write(re.search(r'"n": (\d+)', json.dumps(params))[1] + "\n")
        if message.get("id") is not None:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}) + "\n")
            sys.stdout.flush()
for data in sys.stdin.buffer:
    texts = [data.decode("utf-8", "replace")]
    if b"\0" in data:
        texts.append(data.replace(b"\0", b"").decode("utf-8", "replace"))
    for text in texts:
        for line in text.splitlines():
            for message in messages(line): act(message)
"#;

/// The same with Node's own reader, which takes the last of duplicate members.
const NODE: &str = r#"
const fs = require("node:fs");
const effects = process.argv[3];
function act(message) {
  if (Array.isArray(message)) return message.forEach(act);
  if (message === null || typeof message !== "object") return;
  if (message.method === "tools/call" && message.params?.name !== undefined)
    fs.appendFileSync(effects, JSON.stringify(message.params).match(/"n":(\d+)/)[1] + "\n");
  if (message.id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id: message.id, result: {} }));
}
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  try { act(JSON.parse(line.replace(/^\uFEFF/, ""))); } catch {}
});
"#;

/// A call in its plain spelling; `N` and `ID` are filled in for each.
const CALL: &str = r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"act","arguments":{"n":N}}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#;

/// Parts of the call, each in its own spellings.
const PARTS: &[(&str, &[&str])] = &[
    (
        r#""tools/call""#,
        &[
            r#""tools\/call""#,
            r#""\u0074ools/call""#,
            r#""tools\u002fcall""#,
            r#""tools\u002Fcal\u006c""#,
            r#""Tools/Call""#,
            r#"" tools/call""#,
            r#""tools/call ""#,
            r#""tools/call\u0000""#,
            r#""tools/call\n""#,
            "\"tools/\u{200b}call\"",
            "\"tools/call\t\"",
            r#"["tools/call"]"#,
        ],
    ),
    (
        r#""method""#,
        &[
            r#""m\u0065thod""#,
            r#""Method""#,
            r#""METHOD""#,
            r#"" method""#,
            r#""method":"ping","method""#,
            r#""method":"ping","m\u0065thod""#,
            r#""method":"ping","Method""#,
            "'method'",
            "method",
        ],
    ),
    (
        r#"{"name":"act""#,
        &[
            r#"{"Name":"act","name":"look""#,
            r#"{"name":"look","name":"act""#,
            r#"{"name":"look","NAME":"act""#,
            r#"{"n\u0061me":"act""#,
            r#"{"jsonrpc":"2.0","name":"act""#,
            r#"{"name":"act","_Meta":{}"#,
        ],
    ),
    (
        r#""params""#,
        &[r#""param\u0073""#, "\"param\u{17f}\"", r#""params":{},"params""#, r#""Params""#],
    ),
    (r#""arguments""#, &[r#""Arguments""#, r#""argument\u0073""#, r#""arguments":{},"arguments""#]),
    (
        "ID",
        &[
            r#""ID""#,
            "-ID",
            "ID.0",
            "ID.5",
            "ID0e-1",
            "null",
            "true",
            "[ID]",
            "{}",
            "0ID",
            "+ID",
            r#""ID","id":"other""#,
            r#""ID","Id":"other""#,
        ],
    ),
    (
        r#"{"jsonrpc":"2.0","#,
        &[
            "{",
            r#"{"jsonrpc":"1.0","#,
            r#"{"jsonrpc":2.0,"#,
            r#"{"JSONRPC":"2.0","#,
            r#"{"jsonrpc":"2.0","jsonrpc":"2.0","#,
            r#"{"result":{},"jsonrpc":"2.0","#,
        ],
    ),
    (
        "N}",
        &[
            "N,}",
            "N.0}",
            "N,\"x\":NaN}",
            "N,\"x\":\"\\ud800\"}",
            "N,\"x\":\"\t\"}",
            "N,\"x\":1e999}",
            "N,\"x\":01}",
            "N,\"x\":\"\u{2028}\u{85}\"}",
            "N/* */}",
        ],
    ),
];

/// What may be around it. `X` is the call, `P` a ping.
const AROUND: &[&str] = &[
    "X",
    "[X]",
    "[X,X]",
    "[P,X]",
    "[[X]]",
    "[P,[X]]",
    " X",
    "\tX",
    "\rX",
    "\u{b}X",
    "\u{c}X",
    "\0X",
    "\u{a0}X",
    "\u{feff}X",
    "X\0",
    "X\r",
    "X X",
    "P X",
    "PX",
    "P,X",
    "P\rX",
    "P\u{2028}X",
    "P\u{85}X",
    "P;X",
    "/* */X",
    "//\rX",
    "# \rX",
    "[P,\rX\r]",
    "[P,\u{2028}X]",
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\",\"params\":\rX\r}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"params\":{\"a\":\rX\r}}",
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":[\rX\r]}",
    "{\"a\":1}X",
    "1X",
    "\"\"X",
    "X]",
    "(X)",
    "data: X",
    "Content-Length: 9\r\rX",
];

/// Every spelling, with and without what may be around it, as bytes.
fn spellings() -> Vec<Vec<u8>> {
    let mut calls = vec![CALL.to_owned()];
    for (part, spellings) in PARTS {
        assert!(CALL.contains(part), "{part}");
        calls.extend(spellings.iter().map(|spelling| CALL.replacen(part, spelling, 1)));
    }
    let around = |call: &str, around: &str| {
        around.replace('P', "\u{1}").replace('X', call).replace('\u{1}', PING)
    };
    let mut all: Vec<Vec<u8>> = Vec::new();
    for call in &calls {
        for outer in ["X", "[X]", "[P,\rX\r]", "P\rX"] {
            all.push(around(call, outer).into_bytes());
        }
    }
    all.extend(AROUND.iter().map(|outer| around(CALL, outer).into_bytes()));
    let units: Vec<u16> = CALL.encode_utf16().collect();
    all.push(units.iter().flat_map(|unit| unit.to_le_bytes()).collect());
    all.push(units.iter().flat_map(|unit| unit.to_be_bytes()).collect());
    let invalid = CALL.replace("\"act\"", "\"a\u{1}ct\"").into_bytes();
    all.push(invalid.iter().map(|byte| if *byte == 1 { 0xff } else { *byte }).collect());
    let deep = format!("N,\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    all.push(CALL.replace("N}", &deep).into_bytes());
    all
}

/// In UTF-16 too, where each digit has a zero beside it.
fn filled(spelling: &[u8], n: usize, id: usize) -> Vec<u8> {
    let wide = |text: &[u8], low: bool| -> Vec<u8> {
        text.iter().flat_map(|byte| if low { [*byte, 0] } else { [0, *byte] }).collect()
    };
    let (n, id) = (n.to_string(), id.to_string());
    let mut line = spelling.to_vec();
    let is_wide = spelling.windows(4).any(|four| four == b"I\0D\0" || four == b"\0I\0D");
    let low = spelling.get(1) == Some(&0);
    for (name, value) in [("ID", id.as_bytes()), ("N", n.as_bytes())] {
        let (name, value) = if is_wide {
            (wide(name.as_bytes(), low), wide(value, low))
        } else {
            (name.as_bytes().to_vec(), value.to_vec())
        };
        let mut from = 0;
        while let Some(at) = line[from..].windows(name.len()).position(|part| part == name) {
            let at = from + at;
            // `NaN`, `NAME` and `JSONRPC` are not the number.
            let is_letter = |at: usize| line.get(at).is_some_and(u8::is_ascii_alphabetic);
            let alone = name.len() > 1 || !is_letter(at + 1) && !is_letter(at.wrapping_sub(1));
            if alone {
                line.splice(at..at + name.len(), value.iter().copied());
                from = at + value.len();
            } else {
                from = at + name.len();
            }
        }
    }
    line.push(b'\n');
    line
}

/// Says every spelling twice, under two ids, and returns how often the server found each call.
fn effects_of(command: &[&str], server: &str, file: &str) -> BTreeMap<String, usize> {
    let place = Place::new();
    let _engine = place.builder.start();
    let program = place.builder.home().join(file);
    fs::write(&program, server).unwrap();
    let mut wrapper = place.wrapper_of(&[command[0]]);
    wrapper.arg(&program).args(&command[1..]).arg(&place.effects);
    let mut session = Session::of(wrapper.spawn().unwrap());
    let mut stdin = session.stdin.take().unwrap();
    // A wrapper whose client reads nothing would stop.
    let draining = std::thread::spawn(move || {
        let received = session.stdout.by_ref().lines().count();
        (session.exit_code(), received)
    });
    let all = spellings();
    for (n, spelling) in all.iter().enumerate() {
        for id in [2 * n + 1, 2 * n + 2] {
            stdin.write_all(&filled(spelling, n, 1_000 + id)).unwrap();
        }
    }
    drop(stdin);
    let (status, received) = draining.join().unwrap();
    assert!(status == Some(0) && received > all.len(), "{status:?} {received}");
    let mut effects = BTreeMap::new();
    for line in fs::read(&place.effects).unwrap().lines() {
        *effects.entry(line.unwrap()).or_default() += 1;
    }
    for (n, count) in &effects {
        let n: usize = n.parse().unwrap();
        assert!(*count <= 1, "{file} acted {count} times: {}", String::from_utf8_lossy(&all[n]));
    }
    effects
}

#[test]
fn no_spelling_of_a_call_reaches_a_server_unclaimed() {
    for which in ["first", "last", "folded"] {
        let effects = effects_of(&["python3", which], PYTHON, "lenient.py");
        assert!(effects.contains_key("0"), "the plain call ran: {effects:?}");
        // Other spellings of the same message are calls too.
        assert!(effects.len() > 5, "{effects:?}");
    }
    let effects = effects_of(&["node", "x"], NODE, "lenient.js");
    assert!(effects.contains_key("0") && effects.len() > 5, "{effects:?}");
}

#[test]
fn two_spellings_of_one_call_are_one_call() {
    let place = Place::new();
    let _engine = place.builder.start();
    let mut session = place.start();
    for (id, method) in
        [r#""tools/call""#, r#""tools\/call""#, r#""\u0074ools/call""#].iter().enumerate()
    {
        session.say(&format!(
            "{{\"jsonrpc\":\"2.0\", \"id\":{id},\r \"method\":{method},\"params\":{{\"name\":\"act\"}}}}\n"
        ));
        assert_eq!(session.answer()["id"], id);
    }
    assert_eq!(place.effects(), 1);
}

/// The file of effects, where the harness of the neighbours puts it.
impl Place {
    fn wrapper_of(&self, command: &[&str]) -> std::process::Command {
        let mut wrapper = testkit::command(env!("CARGO_BIN_EXE_openclaw-state-engine"));
        let database: PathBuf = self.builder.database_path().into();
        wrapper.args(["mcp", "--name", "test", "--session", "nightly", "--database"]).arg(database);
        wrapper.arg("--").args(command).current_dir(self.builder.home());
        wrapper.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        wrapper
    }
}
