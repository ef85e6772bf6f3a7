//! The book tells the truth: its configurations load, its reference has every key, and every page is in its contents.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use outdial::config::ConfigError;
use outdial::{CallEvent, Config, EndReason};

const REFERENCE: &str = "docs/reference/configuration.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of a folder and of those in it, by their ending.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    files(&root().join("docs"), "md", &mut pages);
    pages.sort();
    pages
}

/// The blocks of a page in one language, each with the number of its first line.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some((number + 2, info.split(',').next() == Some(language), String::new()));
            }
            (Some(_), Some(_)) => {
                found.extend(open.take().filter(|(_, wanted, _)| *wanted).map(|(at, _, text)| (at, text)));
            }
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// What a page shows of a file is part of one: keys without a table are a trunk's, and the names that it does not mention
/// are there.
fn completed(block: &str) -> String {
    let first = block.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let top = ["default_trunk", "default_agent"];
    let bare =
        first.is_some_and(|line| !line.starts_with('[') && !top.iter().any(|key| line.starts_with(key)));
    let mut text = String::new();
    if bare {
        let user = if block.contains("\nuser = ") || block.starts_with("user = ") {
            ""
        } else {
            "user = \"account\"\n"
        };
        let server = if block.contains("server = ") { "" } else { "server = \"sip.example.com\"\n" };
        text.push_str(&format!("[trunks.example]\n{server}{user}"));
    }
    text.push_str(block);
    for name in ["carrier", "cloud", "pbx"] {
        let named = block.contains(&format!("\"{name}\"")) || block.contains(&format!("[trunks.{name}."));
        let there =
            block.contains(&format!("[trunks.{name}]")) || block.contains(&format!("[providers.{name}]"));
        if named && !there {
            text.push_str(&format!("\n[trunks.{name}]\nserver = \"sip.example.com\"\n"));
        }
    }
    if block.contains("agents = [\"support\"]") {
        text.push_str("\n[agents.support]\n");
    }
    text
}

#[test]
fn every_configuration_in_the_book_loads() {
    let mut wrong = Vec::new();
    let mut loaded = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (line, block) in blocks(&text, "toml") {
            // Two ways to say the same stand one below the other; each is a file of its own.
            let alternatives: Vec<String> =
                if block.matches("\npassword = ").count() > 0 && !block.contains('[') {
                    block.lines().map(str::to_owned).collect()
                } else {
                    vec![block]
                };
            for alternative in alternatives {
                loaded += 1;
                if let Err(error) = Config::parse(&completed(&alternative)) {
                    wrong.push(format!("{}:{line}: {error}\n{alternative}", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(loaded > 15, "the book's configurations were not found: {loaded}");
}

#[test]
fn every_program_in_the_book_is_compiled() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for page in pages() {
        let programs = blocks(&fs::read_to_string(&page).unwrap(), "rust").len();
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        let compiled = library.contains(&format!("include_str!(\"../{name}\")"));
        assert!(compiled || programs == 0, "src/lib.rs does not compile the programs of {name}");
    }
    let skipped =
        pages().into_iter().find(|page| fs::read_to_string(page).unwrap().contains("```rust,ignore"));
    assert_eq!(skipped, None, "a program that is not compiled");
}

/// The tables of the reference: their heading, the beginning of a file that has one, and the struct behind it.
const TABLES: [(&str, &str, &[&str]); 13] = [
    ("At the top", "", &["Config"]),
    ("`[endpoint]`", "[endpoint]\n", &["EndpointConfig"]),
    ("`[endpoint.timers]`", "[endpoint.timers]\n", &["Timers"]),
    ("`[trunks.NAME]`", "[trunks.a]\nserver = \"h\"\n", &["TrunkConfig"]),
    (
        "`[trunks.NAME.tariff]`, `[providers.NAME.tariff]`",
        "[trunks.a.tariff]\nrates = [{ prefix = \"\", price = 1 }]\n",
        &["Tariff"],
    ),
    ("`rates` of a tariff", "[[trunks.a.tariff.rates]]\nprefix = \"\"\nprice = 1\n", &["Rate"]),
    (
        "`[providers.NAME]` with `kind = \"twilio\"`",
        "[providers.a]\nkind = \"twilio\"\naccount_sid = \"AC\"\nauth_token = { source = \"env\", id = \"X\" }\npublic_url = \"https://a\"\n",
        &["ProviderConfig", "TwilioConfig"],
    ),
    ("`[[routes]]`", "[[routes]]\nprefix = \"\"\ntrunk = \"a\"\n", &["PrefixRoute"]),
    ("`[agents.NAME]`", "[agents.a]\n", &["AgentConfig"]),
    ("`[policy]`", "[policy]\n", &["Rules"]),
    ("`[records]`", "[records]\n", &["RecordsConfig"]),
    ("`[recording]`", "[recording]\n", &["RecordingConfig"]),
    ("`[secrets]`", "[secrets]\n", &["SecretsConfig"]),
];

/// The keys that the loader knows in a table: it tells them itself when it meets one that it does not know.
fn keys(table: &str) -> Vec<String> {
    let strange = "qqqqqqqqqqqqqqqqqqqqqqqq";
    let error = Config::parse(&format!("{table}{strange} = 1\n")).unwrap_err();
    let ConfigError::Invalid { problems, .. } = error else { panic!("{error}") };
    let problem = problems.iter().find(|problem| problem.key.ends_with(strange)).expect("it is told");
    let known = problem.message.split_once("known are ").expect("it tells those that it knows").1;
    known.split(", ").map(str::to_owned).collect()
}

/// A field's documentation, on one line, without links into the crate; and its type.
struct Documented {
    text: String,
    kind: String,
}

fn structs() -> BTreeMap<String, BTreeMap<String, Documented>> {
    let mut sources = Vec::new();
    for folder in ["src/config", "src/policy", "src/usage"] {
        files(&root().join(folder), "rs", &mut sources);
    }
    sources.push(root().join("src/config.rs"));
    let mut structs = BTreeMap::new();
    for path in sources {
        let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        for item in file.items {
            let syn::Item::Struct(item) = item else { continue };
            let fields = item.fields.iter().filter_map(|field| {
                let kind = &field.ty;
                let kind = quote::quote!(#kind).to_string().replace(' ', "");
                Some((
                    field.ident.as_ref()?.to_string(),
                    Documented { text: documentation(&field.attrs), kind },
                ))
            });
            structs.insert(item.ident.to_string(), fields.collect());
        }
    }
    structs
}

fn documentation(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                Some(text.value().trim().to_owned())
            }
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    // [`name`](crate::name) and [`name`](Self::name): the words stay.
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        let (target, tail) = after.split_once(')').expect("a link ends");
        match before.rsplit_once('[').filter(|_| target.contains("::")) {
            Some((before, words)) => plain.extend([before, words]),
            None => plain.extend([before, "](", target, ")"]),
        }
        rest = tail;
    }
    plain.push_str(rest);
    plain.replace('|', "\\|")
}

/// How a value of a type is written.
fn form(kind: &str, words: &BTreeMap<String, String>) -> String {
    let inner = |kind: &str, outer: &str| {
        kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>')).map(str::to_owned)
    };
    if let Some(kind) = inner(kind, "Option<") {
        return form(&kind, words);
    }
    if let Some(kind) = inner(kind, "Vec<").or_else(|| inner(kind, "BTreeSet<")) {
        return format!("list of {}", form(&kind, words));
    }
    match kind {
        "bool" => "`true` or `false`".to_owned(),
        "u32" | "u16" => "number".to_owned(),
        "Duration" => "time: `\"30s\"`, `\"2h\"`".to_owned(),
        "String" => "text".to_owned(),
        "PathBuf" => "path".to_owned(),
        "IpAddr" => "address".to_owned(),
        "SocketAddr" => "address and port".to_owned(),
        "Server" => "host, or host and port".to_owned(),
        "SecretRef" => "`{ source = \"env\", id = \"…\" }`, or `file`, `store`".to_owned(),
        "Pem" => "path, or a secret".to_owned(),
        "Decimal" => "amount: `\"0.012\"`".to_owned(),
        "CallerId" => "number `\"+…\"`, or extension".to_owned(),
        "E164" => "number `\"+…\"`".to_owned(),
        "AgentId" => "agent".to_owned(),
        "SampleRate" => "8000, 16000, 24000 or 48000".to_owned(),
        "PortRange" => "`\"16384-32767\"`".to_owned(),
        "NumberFormat" => "`\"e164\"`, `\"digits\"` or `{ prefix = \"00\" }`".to_owned(),
        "QuietHours" => "`\"21:00-08:00\"`".to_owned(),
        "Weekday" => "day: `\"sun\"`".to_owned(),
        "Tz" => "zone: `\"Europe/Berlin\"`".to_owned(),
        "BillableUnit" => "`\"minute\"` or `\"call\"`".to_owned(),
        "Increment" => "seconds: `\"60/60\"`".to_owned(),
        "ProviderKind" => "`\"twilio\"`".to_owned(),
        "Tariff" | "EndpointConfig" | "SecretsConfig" | "Rules" | "RecordsConfig" | "RecordingConfig"
        | "Timers" => "table".to_owned(),
        "Rate" | "PrefixRoute" => "tables".to_owned(),
        kind if kind.starts_with("BTreeMap<") => "tables by name".to_owned(),
        kind => words.get(kind).unwrap_or_else(|| panic!("no form for {kind}")).clone(),
    }
}

/// The words of each enumeration, from the lists by which the loader reads them: `words!(Transport: "udp" = Udp, …)`.
fn words() -> BTreeMap<String, String> {
    let mut sources = Vec::new();
    files(&root().join("src/config"), "rs", &mut sources);
    let mut found = BTreeMap::new();
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for list in text.split("\nwords!(").skip(1) {
            let (name, rest) = list.split_once(':').unwrap();
            let rest = rest.split_once(");").unwrap().0;
            let words = rest.split(',').filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
            let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
            found.insert(name.trim().to_owned(), words.join(", "));
        }
    }
    found
}

#[test]
fn the_reference_has_every_key_of_the_configuration() {
    let (structs, words) = (structs(), words());
    let mut page = "# Every key of the configuration\n\n\
        <!-- Made from the code: OUTDIAL_BLESS=1 cargo test -p outdial --test book. Do not edit. -->\n\n\
        `outdial.toml` has these keys and no others; one that is not here is a mistake that `outdial check` names with its \
        line. Each can be left out unless its text says otherwise. What a `profile` sets otherwise is in \
        [trunks](../trunks/README.md), and `outdial check --explain` shows what is in force.\n"
        .to_owned();
    let mut count = 0;
    for (heading, table, behind) in TABLES {
        page.push_str(&format!("\n## {heading}\n\n| key | value | meaning |\n|---|---|---|\n"));
        for key in keys(table) {
            let field = behind.iter().find_map(|name| structs.get(*name)?.get(&key));
            let field = field.unwrap_or_else(|| panic!("{heading}: no field {key} in {behind:?}"));
            assert!(!field.text.is_empty(), "{heading}: {key} has no documentation");
            page.push_str(&format!("| `{key}` | {} | {} |\n", form(&field.kind, &words), field.text));
            count += 1;
        }
    }
    assert!(count > 90, "only {count} keys were found");
    let path = root().join(REFERENCE);
    if std::env::var_os("OUTDIAL_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let book = fs::read_to_string(&path).unwrap_or_default();
    assert!(book == page, "{REFERENCE} is not what the code says; OUTDIAL_BLESS=1 writes it");
}

#[test]
fn the_events_and_reasons_are_those_of_the_code() {
    let page = fs::read_to_string(root().join("docs/reference/events.md")).unwrap();
    for reason in EndReason::ALL {
        assert!(page.contains(&format!("| `{reason}` |")), "no row for the reason {reason}");
    }
    let source = syn::parse_file(&fs::read_to_string(root().join("src/call/event.rs")).unwrap()).unwrap();
    let name = std::any::type_name::<CallEvent>().rsplit(':').next().unwrap();
    let variants = source.items.iter().find_map(|item| match item {
        syn::Item::Enum(item) if item.ident == name => Some(&item.variants),
        _ => None,
    });
    let variants = variants.expect("the events");
    for variant in variants {
        assert!(page.contains(&format!("| `{}` |", variant.ident)), "no row for the event {}", variant.ident);
    }
    assert_eq!(page.matches("\n| `").count(), variants.len() + EndReason::ALL.len(), "a row too many");
}

#[test]
fn every_page_is_in_the_contents_once() {
    let docs = root().join("docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut pages = Vec::new();
    files(&docs, "md", &mut pages);
    for page in pages {
        let name = page.strip_prefix(&docs).unwrap().display().to_string();
        // mdBook takes no page twice.
        let lines = contents.matches(&format!("]({name})")).count();
        assert_eq!(lines, usize::from(name != "SUMMARY.md"), "lines of {name} in docs/SUMMARY.md");
    }
}
