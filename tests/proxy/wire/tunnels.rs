//! Tunnels whose ends forget each other, and tunnels that take all there is.

use std::io::Read as _;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;

use testkit::{Builder, Client, Request, Upstream, engine, wait_until};

/// The descriptors that the engine has open.
fn descriptors(engine: &testkit::Engine) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", engine.pid())).unwrap().count()
}

/// A server that greets, so that a tunnel to it is passed on unread, and then reads forever.
fn greeter() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"220 hello\r\n");
            open.push(stream);
        }
    });
    addr
}

/// A tunnel to `to`, once the greeting has come through it.
fn greeted(engine: &testkit::Engine, to: std::net::SocketAddr) -> Option<Client> {
    let (mut client, head) = Client::tunnel(engine.proxy, &to.to_string(), "").unwrap();
    let opened = head.line.contains(" 200");
    (opened && client.wire.read_bytes(11).is_ok()).then_some(client)
}

#[test]
fn a_tunnel_with_one_closed_end_ends_after_a_while() {
    let engine = forgetful(engine!()).start();
    let to = greeter();
    let open = greeted(&engine, to).unwrap();
    let before = descriptors(&engine);
    let half_closed: Vec<Client> = (0..8).map(|_| greeted(&engine, to).unwrap()).collect();
    assert!(descriptors(&engine) >= before + 16);
    for client in &half_closed {
        client.wire.stream.shutdown(Shutdown::Write).unwrap();
    }
    wait_until("the half-closed tunnels end", || (descriptors(&engine) <= before).then_some(()));
    // One that is silent with both ends open stays.
    open.wire.stream.set_nonblocking(true).unwrap();
    let read = (&open.wire.stream).read(&mut [0; 1]);
    assert!(read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

/// What still comes through a half-closed tunnel arrives: a client may close its side first.
#[test]
fn a_half_closed_tunnel_delivers_what_is_still_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"220 hello\r\n");
            let mut sent = Vec::new();
            let _ = stream.read_to_end(&mut sent);
            let _ = std::io::Write::write_all(&mut stream, &sent);
        }
    });
    let engine = engine!().start();
    let mut client = greeted(&engine, to).unwrap();
    client.write("all of it").unwrap();
    client.wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.wire.read_bytes(9).unwrap(), b"all of it");
    assert!(client.wire.read_bytes(1).is_err(), "and then it ends");
}

/// An engine that may have so many descriptors, and the folder of the script that starts it.
fn with_descriptors(most: u32) -> (Builder, tempfile::TempDir) {
    let binary = env!("CARGO_BIN_EXE_openclaw-state-engine");
    let folder = tempfile::TempDir::new().unwrap();
    let script = folder.path().join("engine.sh");
    std::fs::write(&script, format!("#!/bin/sh\nulimit -n {most}\nexec {binary} \"$@\"\n"))
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (forgetful(Builder::new(script)), folder)
}

/// With a short `tunnel_idle`.
fn forgetful(builder: Builder) -> Builder {
    let file = builder.home().join("engine.toml");
    std::fs::write(&file, "[proxy]\ntunnel_idle = \"200ms\"\n").unwrap();
    builder.arg("--config").arg(&file)
}

#[test]
fn guarded_calls_go_on_when_tunnels_have_used_up_their_share() {
    let (builder, _folder) = with_descriptors(256);
    let engine = builder.start();
    let (to, tool) = (greeter(), Upstream::echo());
    let mut open = Vec::new();
    while let Some(client) = greeted(&engine, to) {
        open.push(client);
        assert!(open.len() < 128, "tunnels take every descriptor");
    }
    assert!(open.len() >= 32, "{} tunnels", open.len());
    engine.post(&tool.url("/act"), "in clear").assert_is(200, "executed");
    let (mut tunnel, head) = Client::tunnel(engine.proxy, &tool.addr.to_string(), "").unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    tunnel.ask(&Request::post(&tool.url("/act"), "in a tunnel")).assert_is(200, "executed");
    // Tunnels of which nobody knows yet what they carry have a few places, and then none.
    let mut silent = Vec::new();
    let refused = loop {
        let (client, head) = Client::tunnel(engine.proxy, &tool.addr.to_string(), "").unwrap();
        if !head.line.contains(" 200") {
            break head;
        }
        silent.push(client);
        assert!(silent.len() < 64);
    };
    assert!(refused.line.contains(" 503"), "{refused:?}");
    engine.post(&tool.url("/act"), "still").assert_is(200, "executed");
    drop((open, silent));
    wait_until("tunnels can be opened again", || greeted(&engine, to));
}
