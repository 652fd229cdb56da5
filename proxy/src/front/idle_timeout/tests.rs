use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const IDLE_LIMIT: Duration = Duration::from_secs(75);
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const LIMITS: ClientTimeouts =
    ClientTimeouts { idle: IDLE_LIMIT, head: HEAD_LIMIT, taking: Duration::from_secs(300) };

async fn silence_after(script: impl AsyncFn(&mut tokio::io::DuplexStream, &Arc<Turn>)) -> Duration {
    let (mut client, server) = tokio::io::duplex(1024);
    let turn = Arc::new(Turn::default());
    let mut io = IdleTimeout::new(server, Arc::clone(&turn), LIMITS);
    script(&mut client, &turn).await;
    let start = Instant::now();
    let mut buf = [0; 64];
    loop {
        match tokio::time::timeout(Duration::from_secs(1_000), io.read(&mut buf)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                return start.elapsed();
            }
            Err(_) => return Duration::MAX,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_and_a_slow_head_have_their_own_limits() {
    let about = |got: Duration, want: Duration| got >= want && got < want * 2;
    assert!(about(silence_after(async |_, _| {}).await, IDLE_LIMIT));
    let head = silence_after(async |client, _| client.write_all(b"POST").await.unwrap()).await;
    assert!(about(head, HEAD_LIMIT));
}

#[tokio::test]
async fn a_refused_client_may_finish_its_body() {
    let (mut client, server) = tokio::io::duplex(64);
    let turn = Arc::new(Turn::default());
    let mut io = IdleTimeout::new(server, Arc::clone(&turn), LIMITS);
    turn.leave_unread();
    let (shut, sent) =
        tokio::join!(io.shutdown(), async move { client.write_all(&[0; 10_000]).await });
    shut.unwrap();
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_exchange_and_a_tunnel_have_none_until_they_end() {
    let exchange = silence_after(async |_, turn| std::mem::forget(turn.begin())).await;
    assert_eq!(exchange, Duration::MAX);
    let tunnel = silence_after(async |_, turn| {
        let guard = turn.begin();
        turn.upgrade();
        drop(guard);
    });
    assert_eq!(tunnel.await, Duration::MAX);
    let ended = silence_after(async |_, turn| drop(turn.begin())).await;
    assert!(ended < Duration::MAX);
}

#[tokio::test(start_paused = true)]
async fn many_requests_at_once_end_their_turn_together() {
    let (_client, server) = tokio::io::duplex(1024);
    let turn = Arc::new(Turn::multiplexed());
    let mut io = IdleTimeout::new(server, Arc::clone(&turn), LIMITS);
    let (first, second) = (turn.begin(), turn.begin());
    drop(first);
    let mut buf = [0; 1];
    let running = tokio::time::timeout(IDLE_LIMIT * 3, io.read(&mut buf)).await;
    assert!(running.is_err(), "one of them still runs");
    drop(second);
    let idle = tokio::time::timeout(IDLE_LIMIT * 2, io.read(&mut buf)).await.unwrap();
    assert_eq!(idle.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
    let (mut client, server) = tokio::io::duplex(64);
    let turn = Arc::new(Turn::default());
    let _answering = turn.begin();
    let mut io = IdleTimeout::new(server, turn, LIMITS);
    let writing = tokio::spawn(async move { io.write_all(&[0; 64 * 10]).await });
    let mut piece = [0; 64];
    for _ in 0..5 {
        tokio::time::sleep(LIMITS.taking.mul_f64(0.9)).await;
        client.read_exact(&mut piece).await.unwrap();
    }
    assert!(!writing.is_finished());
    assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// Others are read meanwhile.
#[tokio::test(start_paused = true)]
async fn one_of_many_answers_that_waits_for_its_client_ends_the_connection() {
    let (mut client, server) = tokio::io::duplex(1024);
    let turn = Arc::new(Turn::multiplexed());
    let mut io = IdleTimeout::new(server, Arc::clone(&turn), LIMITS);
    let (left, read, silent) = (turn.begin(), turn.begin(), turn.begin());
    let began = Instant::now();
    left.note_untaken(true);
    silent.note_untaken(true);
    // Its tool has nothing to say.
    silent.note_untaken(false);
    let mut buf = [0; 1];
    let ended = loop {
        read.note_untaken(true);
        client.write_all(b"x").await.unwrap();
        match io.read(&mut buf).await {
            Ok(_) => tokio::time::sleep(LIMITS.taking / 10).await,
            Err(error) => break error,
        }
        read.note_untaken(false);
        if began.elapsed() > LIMITS.taking {
            break io.read(&mut buf).await.unwrap_err();
        }
    };
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    let mut io = IdleTimeout::new(tokio::io::duplex(1).1, Arc::clone(&turn), LIMITS);
    drop(left);
    let waits = tokio::time::timeout(LIMITS.taking * 2, io.read(&mut buf)).await;
    assert!(waits.is_err() || waits.unwrap().is_ok(), "nothing waits any more");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_may_wait_for_its_client() {
    let (client, server) = tokio::io::duplex(64);
    let turn = Arc::new(Turn::default());
    turn.upgrade();
    let mut io = IdleTimeout::new(server, turn, LIMITS);
    let writing = tokio::time::timeout(LIMITS.taking * 2, io.write_all(&[0; 100])).await;
    assert!(writing.is_err(), "{writing:?}");
    drop(client);
}
