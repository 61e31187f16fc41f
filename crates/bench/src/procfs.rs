//! What Linux says a process and its children use (proc(5)).

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Length of the tick times are counted in, which the kernel's interface fixes on every common architecture.
const TICK: Duration = Duration::from_millis(10);

/// How long a process does nothing that has got ready for work.
const QUIET: Duration = Duration::from_millis(300);
/// How long it may take to get ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two samples of the memory of a process with children.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// A process and its descendants.
pub(crate) fn tree(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(id) = all.get(next).copied() {
        let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

/// User and system time of a process and its descendants, of those that have ended too.
pub(crate) fn cpu(id: u32) -> Duration {
    tree(id).into_iter().map(cpu_of_one).sum()
}

/// Our own, without children.
pub(crate) fn own_cpu() -> Duration {
    times("self").map_or(Duration::ZERO, |[user, system, ..]| ticks(user + system))
}

/// Of one process and the children it has waited for.
fn cpu_of_one(id: u32) -> Duration {
    times(&id.to_string()).map_or(Duration::ZERO, |times| ticks(times.iter().sum()))
}

/// utime, stime, cutime, cstime.
fn times(id: &str) -> Option<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted from its end.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse().ok();
    Some([field(11)?, field(12)?, field(13)?, field(14)?])
}

/// What all processes together have kept the cores busy with.
pub(crate) fn machine_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = stat.lines().next().unwrap_or_default().split(' ').filter_map(|f| f.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    ticks(fields.iter().take(8).sum::<u64>().saturating_sub(idle))
}

fn ticks(count: u64) -> Duration {
    TICK * u32::try_from(count).unwrap_or(u32::MAX)
}

/// Resident memory of a process, in bytes; with descendants the sum of their proportional shares.
pub(crate) fn memory(id: u32) -> u64 {
    match tree(id).as_slice() {
        [id] => kib(&format!("/proc/{id}/status"), "VmRSS:"),
        all => all.iter().map(|id| kib(&format!("/proc/{id}/smaps_rollup"), "Pss:")).sum(),
    }
}

/// Lets the kernel begin anew with `memory_peak`.
pub(crate) fn reset_memory_peak(id: u32) {
    // Where this is not allowed the peak is that since the start of the process.
    drop(fs::write(format!("/proc/{id}/clear_refs"), "5"));
}

/// Highest resident memory of a process without its children, in bytes.
pub(crate) fn memory_peak(id: u32) -> u64 {
    kib(&format!("/proc/{id}/status"), "VmHWM:")
}

fn kib(file: &str, name: &str) -> u64 {
    number(file, name) << 10
}

/// The first number of the line that begins with `name`.
fn number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let count = line.and_then(|rest| rest.split_whitespace().next()).and_then(|count| count.parse().ok());
    count.unwrap_or_default()
}

/// Bytes that a process and its descendants have handed over to be written.
fn written(id: u32) -> u64 {
    tree(id).into_iter().map(|id| number(&format!("/proc/{id}/io"), "wchar:")).sum()
}

/// Waits until a process has got ready for work: it computes and writes nothing for [`QUIET`], or has had [`PATIENCE`].
pub(crate) fn wait_until_ready(id: u32) {
    let begun = Instant::now();
    let mut before = (cpu(id), written(id));
    while begun.elapsed() < PATIENCE {
        thread::sleep(QUIET);
        let now = (cpu(id), written(id));
        if now.0.saturating_sub(before.0) <= TICK && now.1 == before.1 {
            break;
        }
        before = now;
    }
}

/// What a process used while something ran.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Resident memory before, and the highest while it ran, in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_peak: u64,
    /// Our own time.
    pub(crate) own_cpu: Duration,
    /// Cores busy with neither the process nor us.
    pub(crate) other_load: f64,
}

/// Runs `work` and says what process `id`, not ours, used meanwhile.
pub(crate) fn watch<T>(id: u32, work: impl FnOnce() -> T) -> (T, Usage) {
    reset_memory_peak(id);
    let memory_before = memory(id);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler: ScopedJoinHandle<u64> = scope.spawn(|| highest_sample(id, &ended));
        let (begun, before) = (Instant::now(), [cpu(id), own_cpu(), machine_cpu()]);
        let outcome = work();
        let (elapsed, after) = (begun.elapsed(), [cpu(id), own_cpu(), machine_cpu()]);
        ended.store(true, Ordering::Relaxed);
        let [cpu, own, machine] = [0, 1, 2].map(|index: usize| after[index].saturating_sub(before[index]));
        let other_load = machine.saturating_sub(cpu + own).as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        let memory_peak = sampler.join().unwrap_or_default().max(memory_peak(id));
        (outcome, Usage { cpu, memory_before, memory_peak, own_cpu: own, other_load })
    })
}

/// The kernel keeps the peak of one process; that of a family has to be looked for.
fn highest_sample(id: u32, ended: &AtomicBool) -> u64 {
    let mut highest = 0;
    while !ended.load(Ordering::Relaxed) {
        if tree(id).len() > 1 {
            highest = highest.max(memory(id));
        }
        thread::sleep(SAMPLE_INTERVAL);
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_children() {
        // A shell with one child, until its input ends.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & read -r line; kill $!"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id();
        let family = crate::process::wait_for(Duration::from_secs(10), || Some(tree(id)).filter(|all| all.len() == 2));
        assert_eq!(family.unwrap()[0], id);
        assert!(memory(id) > 0 && memory_peak(id) > 0);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(memory_peak(id), 0);
    }

    #[test]
    fn our_own_work_is_not_others() {
        let mut busy = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ((), usage) = watch(busy.id(), || {
            let until = own_cpu() + TICK * 3;
            while own_cpu() < until {}
        });
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert_eq!(usage.cpu, Duration::ZERO);
        assert!(usage.memory_before > 0 && usage.memory_peak >= usage.memory_before / 2);
    }
}
