//! The clients that the doctor tries if they are installed, each with a call as a user would write
//! it.

use super::check::Severity;

/// How a client finds the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyRoute {
    /// By the environment.
    Environment,
    /// By the environment, except for the loopback, which it always reaches directly.
    NeverLoopback,
    /// By the options and the port of `--java`.
    JavaOptions,
}

/// A client, and how to try it.
pub(super) struct ProbedClient {
    pub(super) name: &'static str,
    /// A command that succeeds if the client is installed.
    pub(super) probe: &'static [&'static str],
    /// The last word of what the probe prints is its version.
    pub(super) prints_version: bool,
    /// `URL`, `FILE` and `SOURCE` are replaced.
    pub(super) call: &'static [&'static str],
    pub(super) file: Option<&'static str>,
    pub(super) source: &'static str,
    pub(super) route: ProxyRoute,
    /// The severity if its call does not go through the proxy.
    pub(super) otherwise: Severity,
    pub(super) remedy: &'static str,
}

const NO_PROXY: &str = "does no_proxy, or the client's own configuration, name this host?";

/// The values that most of them share.
const USUAL: ProbedClient = ProbedClient {
    name: "",
    probe: &[],
    prints_version: false,
    call: &[],
    file: None,
    source: "",
    route: ProxyRoute::Environment,
    otherwise: Severity::Problem,
    remedy: NO_PROXY,
};

const FETCH: &str = "\
const answer = await fetch(process.argv.at(-1), { method: 'POST', body: 'hello' });
console.log(await answer.text());";

const DENO: &str = "\
const answer = await fetch(Deno.args.at(-1), { method: 'POST', body: 'hello' });
console.log(await answer.text());";

const NODE_HTTP: &str = "\
import http from 'node:http';
const request = http.request(process.argv.at(-1), { method: 'POST' }, (answer) => answer.pipe(process.stdout));
request.end('hello');";

const URLLIB: &str = "\
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], b'hello', timeout=20).read())";

const REQUESTS: &str = "\
import sys, requests
print(requests.post(sys.argv[1], data=b'hello', timeout=20).text)";

const HTTPX: &str = "\
import sys, httpx
print(httpx.post(sys.argv[1], content=b'hello', timeout=20).text)";

const AIOHTTP: &str = "\
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.post(sys.argv[1], data=b'hello') as answer:
            print(await answer.text())
asyncio.run(main())";

const GO: &str = r#"package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	answer, err := http.Post(os.Args[1], "text/plain", strings.NewReader("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(string(body))
}
"#;

const JAVA: &str = r#"import java.net.URI;
import java.net.http.*;

class Probe {
    public static void main(String[] args) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(args[0]))
            .POST(HttpRequest.BodyPublishers.ofString("hello")).build();
        var client = HttpClient.newBuilder().proxy(java.net.ProxySelector.getDefault()).build();
        System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()));
    }
}
"#;

const OLD_NODE: &str =
    "use Node 22.21, 24 or later; in older ones, use axios or undici's EnvHttpProxyAgent";

/// In the order of the report.
pub(super) const ALL: &[ProbedClient] = &[
    ProbedClient {
        name: "curl",
        probe: &["curl", "--version"],
        call: &["curl", "-sS", "-m", "20", "-d", "hello", "URL"],
        ..USUAL
    },
    ProbedClient {
        name: "wget",
        probe: &["wget", "--version"],
        call: &["wget", "-q", "-T", "20", "-t", "1", "-O", "-", "--post-data=hello", "URL"],
        ..USUAL
    },
    ProbedClient {
        name: "python urllib",
        probe: &["python3", "-c", "import platform; print(platform.python_version())"],
        prints_version: true,
        call: &["python3", "-c", "SOURCE", "URL"],
        source: URLLIB,
        ..USUAL
    },
    ProbedClient {
        name: "python requests",
        probe: &["python3", "-c", "import requests; print(requests.__version__)"],
        prints_version: true,
        call: &["python3", "-c", "SOURCE", "URL"],
        source: REQUESTS,
        ..USUAL
    },
    ProbedClient {
        name: "python httpx",
        probe: &["python3", "-c", "import httpx; print(httpx.__version__)"],
        prints_version: true,
        call: &["python3", "-c", "SOURCE", "URL"],
        source: HTTPX,
        ..USUAL
    },
    ProbedClient {
        name: "python aiohttp",
        probe: &["python3", "-c", "import aiohttp; print(aiohttp.__version__)"],
        prints_version: true,
        call: &["python3", "-c", "SOURCE", "URL"],
        source: AIOHTTP,
        otherwise: Severity::Warning,
        remedy: "it reads no variable unless the program uses ClientSession(trust_env=True)",
        ..USUAL
    },
    ProbedClient {
        name: "node fetch",
        probe: &["node", "--version"],
        prints_version: true,
        call: &["node", "FILE", "URL"],
        file: Some("probe.mjs"),
        source: FETCH,
        otherwise: Severity::Warning,
        remedy: OLD_NODE,
        ..USUAL
    },
    ProbedClient {
        name: "node http",
        probe: &["node", "--version"],
        prints_version: true,
        call: &["node", "FILE", "URL"],
        file: Some("probe.mjs"),
        source: NODE_HTTP,
        otherwise: Severity::Warning,
        remedy: OLD_NODE,
        ..USUAL
    },
    ProbedClient {
        name: "deno",
        probe: &["deno", "eval", "console.log(Deno.version.deno)"],
        prints_version: true,
        call: &["deno", "run", "--allow-net", "FILE", "URL"],
        file: Some("probe.js"),
        source: DENO,
        ..USUAL
    },
    ProbedClient {
        name: "bun",
        probe: &["bun", "--version"],
        prints_version: true,
        call: &["bun", "FILE", "URL"],
        file: Some("probe.mjs"),
        source: FETCH,
        ..USUAL
    },
    ProbedClient {
        name: "go",
        probe: &["go", "env", "GOVERSION"],
        prints_version: true,
        call: &["go", "run", "FILE", "URL"],
        file: Some("probe.go"),
        source: GO,
        route: ProxyRoute::NeverLoopback,
        remedy: "Go sends no loopback address through a proxy; is GOFLAGS or a cache in the way?",
        ..USUAL
    },
    ProbedClient {
        name: "java (run --java)",
        probe: &["java", "-version"],
        call: &["java", "FILE", "URL"],
        file: Some("Probe.java"),
        source: JAVA,
        route: ProxyRoute::JavaOptions,
        remedy: "does JAVA_TOOL_OPTIONS, or the client's own configuration, name a different proxy?",
        ..USUAL
    },
    ProbedClient {
        name: "git",
        probe: &["git", "--version"],
        call: &["git", "ls-remote", "URL"],
        ..USUAL
    },
];
