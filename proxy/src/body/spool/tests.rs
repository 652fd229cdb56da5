use super::*;

fn area(quota: u64) -> (tempfile::TempDir, Arc<SpoolArea>) {
    let folder = tempfile::tempdir().unwrap();
    let area = Arc::new(SpoolArea::new(folder.path().to_owned(), quota));
    (folder, area)
}

#[tokio::test]
async fn a_body_comes_back_from_memory_and_from_the_file() {
    let (folder, area) = area(10_000_000);
    for frames in [vec![], vec![5], vec![5, 7], vec![200_000, 100_000, 3], vec![300_000; 4]] {
        let mut spool = Spool::new(&area);
        let mut want = Vec::new();
        for (n, size) in frames.iter().enumerate() {
            let data = vec![n as u8 + 1; *size];
            want.extend_from_slice(&data);
            spool.push(Bytes::from(data)).await.unwrap();
        }
        let body = spool.done();
        assert_eq!(body.len(), want.len() as u64);
        assert_eq!(body.in_memory().is_some(), want.len() <= IN_MEMORY);
        let mut chunks = Chunks::new(body.clone());
        let mut got = Vec::new();
        while let Some(chunk) = chunks.next().await {
            got.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(got, want);
        assert_eq!(body.load().await.unwrap(), want);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    assert_eq!(area.quota.used(), 0);
}

#[tokio::test]
async fn the_quota_is_kept_and_given_back() {
    let (_folder, area) = area(600_000);
    let mut spool = Spool::new(&area);
    spool.push(Bytes::from(vec![0; 500_000])).await.unwrap();
    let refused = spool.push(Bytes::from(vec![0; 300_000])).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
    assert_eq!(spool.done().len(), 500_000);
    assert_eq!(area.quota.used(), 0);
}
