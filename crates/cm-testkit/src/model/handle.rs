//! One request: read, recorded, and answered as its route says.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::asked::{Asked, Place};
use super::errors;
use super::player::{Ending, play};
use super::record::{Outcome, Played, Record};
use super::route::{self, Route};
use super::scenario::{Error, Step};
use super::shared::Shared;

/// The largest request that is read.
const BODY: usize = 64 * 1024 * 1024;

type Answered = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The answer to a request.
pub(super) async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Answered {
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let user_agent = header(USER_AGENT).unwrap_or_default().to_owned();
    let packed = header(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let body = match Limited::new(request.into_body(), BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return plain(StatusCode::BAD_REQUEST, &json!({ "error": error.to_string() })),
    };
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let route = route::route(&method, &path, &value);
    let step = match &route {
        Route::Turn(asked) => Some(shared.step(asked)),
        Route::Fixed(_) | Route::Unknown => None,
    };
    let played = match (&route, &step) {
        (Route::Turn(asked), Some((place, ..))) => Some(Played::of(asked, place.name.clone(), place.step)),
        _ => None,
    };
    let number = shared.came(Record {
        number: 0,
        at: Instant::now(),
        ended: None,
        method,
        path,
        user_agent,
        status: 0,
        outcome: Outcome::Underway,
        played,
        body,
    });
    let ending = Ending::of(Arc::clone(&shared), number);
    let fixed = |status: StatusCode, value: &Value, ending: Ending| {
        shared.status(number, status);
        ending.with(Outcome::Whole);
        plain(status, value)
    };
    if packed {
        let error = json!({ "error": { "message": "this server reads only plain bodies" } });
        return fixed(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error, ending);
    }
    match (route, step) {
        (Route::Turn(asked), Some((place, step, error))) => {
            let tag = format!("{:x}{number:04}", shared.seed);
            turn(Turn { asked: *asked, place, step, error, tag, number }, &value, shared, ending).await
        }
        (Route::Fixed(value), _) => fixed(StatusCode::OK, &value, ending),
        _ => {
            let error = json!({ "type": "not_found_error", "message": "no such path" });
            fixed(StatusCode::NOT_FOUND, &json!({ "type": "error", "error": error }), ending)
        }
    }
}

/// One turn to answer.
struct Turn {
    asked: Asked,
    place: Place,
    step: Step,
    error: Option<Error>,
    tag: String,
    number: u64,
}

async fn turn(turn: Turn, body: &Value, shared: Arc<Shared>, ending: Ending) -> Answered {
    let Turn { asked, place, step, error, tag, number } = turn;
    if let Some(error) = error {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        tokio::time::sleep(Duration::from_millis(step.first_byte_ms)).await;
        shared.status(number, status);
        ending.with(Outcome::Whole);
        let mut response = plain(status, &errors::body(asked.dialect, &error));
        let after = error.retry_after_s.map(|seconds| (RETRY_AFTER, seconds.into()));
        let more = error.headers.iter().filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
        });
        response.headers_mut().extend(after.into_iter().chain(more));
        return response;
    }
    let answer = if asked.wants.is_side() {
        Answer::of_text(tag, &asked, &route::side(&asked, &place.name, body))
    } else {
        Answer::of_step(tag, &asked, &step)
    };
    // A client that goes away meanwhile ends this function, and `ending` says so.
    tokio::time::sleep(answer.first_byte).await;
    shared.status(number, StatusCode::OK);
    let script = route::write(&asked, &answer);
    let kind = if asked.stream { "text/event-stream" } else { "application/json" };
    let mut response = Response::new(play(script, shared, ending).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn plain(status: StatusCode, body: &Value) -> Answered {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
