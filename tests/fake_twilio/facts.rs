//! Requests, held against the facts of Twilio's published description.

use std::sync::LazyLock;

use serde_json::Value;

static FACTS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("calls.json")).expect("it is JSON"));

/// What is wrong with a form of `operation`: nothing, or the first thing.
pub(super) fn check(
    operation: &str,
    method: &str,
    content_type: &str,
    fields: &[(String, String)],
) -> Result<(), String> {
    let facts = &FACTS[operation];
    let wrong = |what: String| Err(format!("{operation}: {what}"));
    if facts["method"] != method {
        return wrong(format!("method {method}"));
    }
    let Some(parameters) = facts["parameters"].as_object() else {
        return if fields.is_empty() { Ok(()) } else { wrong("it takes no fields".to_owned()) };
    };
    if facts["content_type"] != content_type {
        return wrong(format!("content type {content_type}"));
    }
    for required in facts["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.iter().any(|(name, value)| name == required && !value.is_empty()) {
            return wrong(format!("{required} is missing"));
        }
    }
    for (name, value) in fields {
        let Some(schema) = parameters.get(name) else {
            return wrong(format!("there is no parameter {name}"));
        };
        let many = schema["type"] == "array";
        if !many && fields.iter().filter(|(other, _)| other == name).count() > 1 {
            return wrong(format!("{name} comes twice"));
        }
        let schema = if many { &schema["items"] } else { schema };
        if let Err(what) = fits(schema, value) {
            return wrong(format!("{name}: {what}"));
        }
    }
    match operation {
        "create" => beyond_the_schema(fields),
        _ => Ok(()),
    }
}

/// The HTTP status of a success.
pub(super) fn success(operation: &str) -> u16 {
    u16::try_from(FACTS[operation]["answer"].as_u64().expect("a number")).expect("an HTTP status")
}

/// Checks an answer of ours: it has each property of the description and no other.
pub(super) fn check_call(call: &Value) {
    let schema = FACTS["call"].as_object().expect("an object");
    let call = call.as_object().expect("an object");
    for (name, value) in call {
        let property = schema.get(name).unwrap_or_else(|| panic!("Twilio's calls have no {name}"));
        match value {
            Value::Null => assert!(property["nullable"] == true, "{name} cannot be null"),
            Value::String(text) => fits(property, text).unwrap_or_else(|what| panic!("{name}: {what}")),
            _ => assert_eq!(property["type"], "object", "{name}"),
        }
    }
    for name in schema.keys() {
        assert!(call.contains_key(name), "{name} is missing");
    }
}

fn fits(schema: &Value, value: &str) -> Result<(), String> {
    let names = schema["enum"].as_array();
    if names.is_some_and(|names| !names.iter().any(|name| name == value)) {
        return Err(format!("{value:?} is none of {names:?}"));
    }
    let kind = schema["type"].as_str().unwrap_or("string");
    if kind == "integer" && value.parse::<i64>().is_err()
        || kind == "boolean" && value.parse::<bool>().is_err()
    {
        return Err(format!("{value:?} is no {kind}"));
    }
    let bound = |key: &str| schema[key].as_u64().map(|bound| bound as usize);
    if bound("minLength").is_some_and(|least| value.len() < least)
        || bound("maxLength").is_some_and(|most| value.len() > most)
    {
        return Err(format!("{value:?} has {} characters", value.len()));
    }
    // The only patterns are those of sids: two letters and hexadecimal digits.
    if let Some(pattern) = schema["pattern"].as_str() {
        let prefix = &pattern[1..3];
        if !value.starts_with(prefix) || !value[2..].bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{value:?} is not like {pattern}"));
        }
    }
    if schema["format"] == "uri" && !(value.starts_with("http://") || value.starts_with("https://")) {
        return Err(format!("{value:?} is no address"));
    }
    Ok(())
}

/// What the description says in words.
fn beyond_the_schema(fields: &[(String, String)]) -> Result<(), String> {
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let number = |name: &str| {
        let text = field(name).unwrap_or_default();
        let digits = text.strip_prefix('+').unwrap_or_default();
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if !number("To") || !number("From") {
        return Err("To and From are not in E.164".to_owned());
    }
    let ways = ["Url", "Twiml", "ApplicationSid"].iter().filter(|name| field(name).is_some()).count();
    if ways != 1 {
        return Err(format!("{ways} of Url, Twiml and ApplicationSid"));
    }
    if field("Twiml").is_some_and(|twiml| twiml.len() > 4_000) {
        return Err("Twiml has more than 4,000 characters".to_owned());
    }
    let seconds = field("Timeout").and_then(|seconds| seconds.parse::<u32>().ok());
    if seconds.is_some_and(|seconds| !(1..=600).contains(&seconds)) {
        return Err(format!("Timeout of {seconds:?} s"));
    }
    let known = ["initiated", "ringing", "answered", "completed"];
    let mut events =
        fields.iter().filter(|(name, _)| name == "StatusCallbackEvent").map(|(_, event)| event.as_str());
    match events.find(|event| !known.contains(event)) {
        Some(unknown) => Err(format!("StatusCallbackEvent {unknown}")),
        None => Ok(()),
    }
}
