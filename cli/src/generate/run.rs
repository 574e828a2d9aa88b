//! One run of the generator: takes the schedule's files one after the other, composes or copies their contents, puts
//! them in place and keeps the manifest.

use std::io;
use std::mem;
use std::path::Path;

use orgtrail_event::gzip::Deflater;

use super::delivery::{Author, Body, Shelf, recut, spoil};
use super::digests::{self, Digests};
use super::organization::Organization;
use super::random::Random;
use super::schedule::{Job, Work, schedule};
use super::templates::Repertoire;
use super::{CorruptFile, FileKind, Manifest, OtherFile, PUBLIC_KEYS, Plan, Progress, others};

/// Share of a second trail's files that stand under another region's key, as a global service's copies do.
const OTHER_REGION: f64 = 0.1;

/// The compressor of every generated file: gzip's own default level.
pub(super) fn deflater() -> Deflater {
    Deflater::new(6)
}

struct Run<'a> {
    plan: &'a Plan,
    organization: &'a Organization,
    out: &'a Path,
    repertoire: Repertoire,
    deflater: Deflater,
    shelf: Shelf,
    manifest: Manifest,
    /// The account's and region's own random numbers, and which those are.
    random: Random,
    prefix: Option<(usize, usize)>,
    /// The last new file of this prefix, inflated and deflated, and the one before.
    current: Body,
    gz: Vec<u8>,
    previous: Body,
    giant_due: bool,
    digests: Digests,
}

pub(super) fn run(
    plan: &Plan,
    organization: &Organization,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Manifest> {
    let jobs = schedule(plan, organization);
    let extras = others::extras(plan, organization);
    let files_total = (jobs.len() + extras.len()) as u64 + digests::count(plan, organization);
    let mut run = Run {
        plan,
        organization,
        out,
        repertoire: Repertoire::new(),
        deflater: deflater(),
        shelf: Shelf::new(out),
        manifest: Manifest {
            records: 0,
            records_written: 0,
            duplicates: 0,
            json_bytes: 0,
            stored_bytes: 0,
            insight_records: 0,
            files: Default::default(),
            by_account: Default::default(),
            sources: organization.sources.iter().filter(|source| !source.accounts.is_empty()).cloned().collect(),
            corrupt: Vec::new(),
            others: Vec::new(),
        },
        random: Random::new(plan.seed, ""),
        prefix: None,
        current: Body::default(),
        gz: Vec::new(),
        previous: Body::default(),
        giant_due: true,
        digests: Digests::default(),
    };
    let mut files = 0;
    let mut report = |manifest: &Manifest| {
        files += 1;
        progress(Progress { files, files_total, records: manifest.records_written, bytes: manifest.stored_bytes });
    };
    for extra in extras {
        let bytes = if extra.compress { run.deflater.deflate(&extra.content) } else { extra.content };
        run.shelf.put(&organization.sources[extra.source].path(out, &extra.file.key), &bytes)?;
        run.manifest.add(extra.file.kind, 0, 0, bytes.len());
        if extra.file.kind == FileKind::Insight {
            run.manifest.insight_records += others::INSIGHT_RECORDS;
        }
        run.manifest.others.push(extra.file);
        report(&run.manifest);
    }
    for job in &jobs {
        run.file(job)?;
        report(&run.manifest);
    }
    let Run { digests: vouched, mut deflater, mut shelf, mut manifest, .. } = run;
    vouched.write(plan, organization, &mut |signed| {
        let (source, gz) = (organization.source(signed.account), deflater.deflate(&signed.json));
        shelf.put_with_metadata(&source.path(out, &signed.key), &gz, &signed.metadata)?;
        manifest.add(FileKind::Digest, 0, 0, gz.len());
        let (bucket, key) = (source.bucket.clone(), signed.key);
        manifest.others.push(OtherFile { bucket, key, kind: FileKind::Digest });
        report(&manifest);
        Ok(())
    })?;
    std::fs::write(out.join(PUBLIC_KEYS), digests::public_keys(plan)?)?;
    manifest.duplicates = manifest.records_written - manifest.records;
    manifest.save(out)?;
    Ok(manifest)
}

impl Run<'_> {
    fn file(&mut self, job: &Job) -> io::Result<()> {
        let account = &self.organization.accounts[job.account];
        let region = &self.plan.regions[job.region];
        if self.prefix != Some((job.account, job.region)) {
            self.prefix = Some((job.account, job.region));
            self.random = Random::new(self.plan.seed, &format!("files/{}/{region}", account.id));
            self.current = Body::default();
        }
        match job.work {
            Work::Log(count) | Work::Late(count) => {
                mem::swap(&mut self.previous, &mut self.current);
                let author = Author { repertoire: &self.repertoire, account, region };
                let one_giant = mem::take(&mut self.giant_due);
                author.compose(&mut self.current, count, job.stamp, one_giant, &mut self.random);
                self.gz = self.deflater.deflate(&self.current.json);
                let records = self.current.records.len() as u64;
                self.manifest.records += records;
                *self.manifest.by_account.entry(account.id.clone()).or_default() += records;
                let kind = if matches!(job.work, Work::Log(_)) { FileKind::Log } else { FileKind::Late };
                self.put_current(job, region, kind)?;
            }
            Work::Redelivered => self.put_current(job, region, FileKind::Redelivered)?,
            Work::SecondTrail => {
                let mut body = Body::default();
                recut([&self.previous, &self.current], &mut body, &mut self.random);
                let gz = self.deflater.deflate(&body.json);
                self.manifest.add(FileKind::SecondTrail, body.records.len(), body.json.len(), gz.len());
                let elsewhere = self.random.chance(OTHER_REGION);
                let region = if elsewhere { self.random.pick(&self.plan.regions) } else { region };
                let key = self.put(job, region, &gz)?;
                self.vouch(job, region, &key, &body.json);
            }
            Work::Corrupt(kind) => {
                let deflater = &mut self.deflater;
                let spoilt = spoil(kind, &self.current, &self.gz, |json| deflater.deflate(json), &mut self.random);
                self.manifest.add(FileKind::Corrupt, 0, 0, spoilt.bytes.len());
                let key = self.put(job, region, &spoilt.bytes)?;
                let bucket = self.organization.source(job.account).bucket.clone();
                self.manifest.corrupt.push(CorruptFile { bucket, key, kind, whole_records: spoilt.whole_records });
            }
        }
        Ok(())
    }

    /// Puts the current file's bytes under a fresh key.
    fn put_current(&mut self, job: &Job, region: &str, kind: FileKind) -> io::Result<()> {
        self.manifest.add(kind, self.current.records.len(), self.current.json.len(), self.gz.len());
        let gz = mem::take(&mut self.gz);
        let key = self.put(job, region, &gz)?;
        self.gz = gz;
        let json = mem::take(&mut self.current.json);
        self.vouch(job, region, &key, &json);
        self.current.json = json;
        Ok(())
    }

    /// Has the file listed in its hour's digest.
    fn vouch(&mut self, job: &Job, region: &str, key: &str, json: &[u8]) {
        if !self.plan.digests {
            return;
        }
        let bucket = &self.organization.source(job.account).bucket;
        let region = self.plan.regions.iter().position(|name| name == region).unwrap_or(job.region);
        self.digests.add((job.account, region), job.delivered, bucket, key, json);
    }

    /// Puts `bytes` under a fresh key of the job's account and stamp, and returns the key.
    fn put(&mut self, job: &Job, region: &str, bytes: &[u8]) -> io::Result<String> {
        let source = self.organization.source(job.account);
        let account = &self.organization.accounts[job.account].id;
        let key = source.file_key(account, "CloudTrail", region, job.stamp, &mut self.random);
        self.shelf.put(&source.path(self.out, &key), bytes)?;
        Ok(key)
    }
}
