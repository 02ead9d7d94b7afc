//! What a host has for tasks to come: tools, their logins, repositories. Nothing is started for it.

use std::path::Path;
use std::sync::Arc;

use cm_protocol::{CreateSession, ErrorCode, ErrorReply, Probe, ReplyBody, RepoFound, ToolFound};

use super::create::Spec;
use super::{CHECK, Engine};
use crate::host::limits;
use crate::tool::login;
use crate::work::Remote;
use crate::work::repo::is_present;

/// Tools and repositories in one command.
const MOST: usize = 32;

impl Engine {
    /// Looks for tools and repositories.
    ///
    /// # Errors
    /// There are too many at once, or the file system does not answer.
    pub async fn probe(self: &Arc<Self>, asked: Probe) -> Result<ReplyBody, ErrorReply> {
        for (field, count) in [("tools", asked.tools.len()), ("repos", asked.repos.len())] {
            if count > MOST {
                let why = format!("{field}: {count}, at most {MOST} at once");
                return Err(ErrorReply::bad_request(field, why));
            }
        }
        let engine = self.clone();
        let look = tokio::task::spawn_blocking(move || ReplyBody::Probed {
            tools: asked.tools.into_iter().map(|tool| engine.find_tool(tool)).collect(),
            repos: asked.repos.into_iter().map(|url| engine.find_repo(url)).collect(),
            load: limits::load(),
        });
        match tokio::time::timeout(CHECK, look).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) => Err(ErrorReply::new(ErrorCode::Internal, "the agent is ending")),
            Err(_) => {
                let why = format!("the file system has not answered within {CHECK:?}");
                Err(ErrorReply::new(ErrorCode::Internal, why))
            }
        }
    }

    /// The program a session of this tool would run, and whether somebody is logged in to it.
    fn find_tool(&self, tool: String) -> ToolFound {
        let (name, env) = (Some(tool.clone()), self.session_env.clone());
        let request = CreateSession { tool: name, env, ..CreateSession::default() };
        let Ok(found) = Spec::locate(&request, self) else {
            return ToolFound { tool, path: None, login: None };
        };
        let home = found.env.get("HOME").map_or("/", String::as_str);
        let exists = |file: &str| Path::new(home).join(file).exists();
        let is_set = |name: &str| found.env.get(name).is_some_and(|value| !value.is_empty());
        let login = login::logged_in(&tool, exists, is_set);
        ToolFound { tool, path: Some(found.program.display().to_string()), login }
    }

    fn find_repo(&self, url: String) -> RepoFound {
        let present = is_present(&self.state, &url);
        let mirror = Remote::read(&url).ok().map(|remote| remote.mirror(&self.state));
        RepoFound { url, present, directory: mirror.map(|dir| dir.display().to_string()) }
    }
}
