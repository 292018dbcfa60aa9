#!/usr/bin/env python3
"""Plants one fault at a time and sees whether the tests notice. A fault that none of them notices is a hole in the tests.

    tests/mutants/mutants.py             all of them (about a minute each on two cores)
    tests/mutants/mutants.py capture     those with the word in their name
    tests/mutants/mutants.py --list

Works in a copy of the last commit, in build/mutants; the working tree is left alone. Ends with 1 when a fault survives."""
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutants"
BUILD = COPY / "build" / "release"
SEEDS = 1000  # of the simulation

# name, file, what is there, what is put there, the tests that must notice: gtest programs, the simulation (troupe-sim), or a file of
# tests/integration, or of another folder of tests
MUTANTS = [
    ("the journal does not sync", "storage/journal_thread.cpp", "options.sync = limits_.sync;", "options.sync = false;", ["storage_test"]),
    ("the ledger answers before the disk knows", "actors/ledger/ledger_actor.cpp",
     "commit(std::move(batch), [promise, answer](storage::commit_status status) mutable {",
     "promise.deliver(answer);\n  commit(std::move(batch), [promise, answer](storage::commit_status status) mutable {", ["actors_test"]),
    ("a stage is captured twice", "actors/ledger/ledger_core.cpp", "if (found->second.captured.contains(asked.stage))", "if (false)", ["actors_test"]),
    ("a hold may exceed the wallet", "actors/ledger/ledger_core.cpp", "if (asked.amount > balance(account_book::wallet))",
     "if (asked.amount > balance(account_book::wallet) + 1'000'000)", ["actors_test"]),
    ("the allowance of a month is given twice", "actors/ledger/ledger_core.cpp", "if (asked.amount <= given)", "if (false)", ["actors_test"]),
    ("a payment counts twice", "actors/ledger/ledger_core.cpp", "if (knows(asked.kind, asked.reference))", "if (false)", ["actors_test"]),
    ("a job that is cancelled saves its credits from a chargeback", "actors/ledger/ledger_core.cpp",
     "complete_reversals(found->second.left, {}, into);", "", ["actors_test"]),
    ("a key spends more than its limit", "actors/ledger/ledger_core.cpp", "asked.amount > asked.key_limit - used)", "false)", ["actors_test"]),
    ("the carried fraction is forgotten", "actors/ledger/ledger_core.hpp", "(owed() + exact) / micro_per_credit", "exact / micro_per_credit",
     ["actors_test"]),
    ("the audit does not look at snapshots", "actors/ledger/ledger_audit.cpp", "if (snapshot_ && snapshot_->seq == seq)", "if (false)",
     ["actors_test"]),
    ("cancelling forgets to release", "workflows/run.cpp", "if (!stage.captured)\n      out.release.push_back(i);", "", ["workflows_test"]),
    ("the report of a stale attempt counts", "workflows/run.cpp",
     "attempt > stages_[index].ended &&\n         attempt >= stages_[index].attempt;", "attempt > 0;", ["workflows_test"]),
    ("what a lost node finished is thrown away", "workflows/run.cpp", "if (e.kind != fault::lost_node)\n    stage.ended = e.attempt;",
     "stage.ended = e.attempt;", ["workflows_test"]),
    ("that a lost attempt failed counts against its stage", "workflows/run.cpp", " || is_lost(e.index, e.attempt))", ")", ["workflows_test"]),
    ("who comes back with a result is given its stage anew", "actors/cluster/cluster_actor.cpp", "  hold(hello.unacknowledged);\n", "",
     ["actors_test"]),
    ("a job is not taken up after a restart", "actors/job/job_actor.cpp",
     "s.rows.push_back({table::open_jobs, m.job, jobs::pack_open_job(m.account, waiting), false});", "", ["crash_test.py"]),
    ("the result's row is not in the batch of the charge", "actors/job/job_steps.cpp", "add_result_rows(s);", "", ["actors_test"]),
    ("a placement that is never answered keeps its slot", "actors/scheduler/scheduler_actor.cpp", "  ++ticks_;", "", ["actors_test"]),
    ("a device is blamed for what does not suit it", "actors/device/device_actor.cpp", "return outcome::unsuited;", "return outcome::device_fault;",
     ["actors_test"]),
    ("what does not suit a device comes back to it", "actors/job/job_core.cpp", " || failed->kind == workflow::fault::unsuited;", ";", ["actors_test"]),
    ("what is taken after its slot was given away runs", "actors/scheduler/scheduler_actor.cpp",
     "if (auto late = given_up_.extract(attempt))", "if (auto late = given_up_.extract(attempt); false)", ["actors_test"]),
    ("a definition with a mistake is loaded with the others", "workflows/definition_store.cpp", "if (!problems.empty())\n    return problems;",
     "if (!problems.empty() && next->newest.empty())\n    return problems;", ["troupe-sim"]),
    ("a job forgets at which version it began", "actors/job/job_core.cpp", '"version", e.version,', '"version", 1u,', ["troupe-sim"]),
    ("a key's claim is not in the job's batch", "http/bridge/submission.cpp", "if (auto row = once_row(r, command.job, command.at))",
     "if (auto row = once_row(r, command.job, command.at); false)", ["idempotency_test.py"]),
    ("another body passes under the same key", "http/application.cpp", "if (first && first->fingerprint != fingerprint)", "if (false)", ["http_test"]),
    ("an event stream resumes one too late", "http/workflows/jobs.cpp",
     "resume_after(r).value_or(0), row->", "resume_after(r).value_or(0) + 1, row->", ["torture/streams_test.py"]),
    ("an account's stream resumes one too late", "http/workflows/jobs.cpp", "auto cursor = from ? *from :", "auto cursor = from ? *from + 1 :",
     ["torture/streams_test.py"]),
    ("a job's stream ends before its last event", "http/workflows/jobs.cpp", "done = !job.empty() && entry->event ==", "done = !job.empty() || entry->event ==",
     ["torture/streams_test.py"]),
    ("who moves up in line is not told", "http/workflows/wait_watch.cpp", "before->second != lasting", "false", ["gateway_test"]),
    ("a stream asks why nothing waits", "http/workflows/wait_watch.cpp", "may_wait_ = !told_.empty();", "", ["gateway_test"]),
    ("a stage that found no room does not say so", "actors/job/job_placement.cpp", "turned_away_[m.stage] = {m.code, m.reason};", "", ["actors_test"]),
    ("what is no id is taken for what it begins with", "http/resume.cpp", "error == std::errc{} && end == text.data() + text.size()", "error == std::errc{}",
     ["http_test"]),
    ("a cookie may come from another origin", "http/application.cpp", "if (!origin_allowed(r, options_.own_origins))", "if (false)", ["http_test"]),
    ("another's job can be seen", "http/bridge/views.cpp", "!= account", "== account + \"?\"", ["quick_start_test.py"]),
    ("an ended stage keeps its slot", "actors/scheduler/scheduler_core.cpp", "  vacate(run);\n  if (stage != none)",
     "  if (stage != none)", ["scheduler_test", "scheduler_simulation_test"]),
    ("a corrupt artifact is believed", "gpu/node/node_transfers.cpp", "if (to.hash.finish() == what.sha256)", "if (true)", ["node_test"]),
    ("a log is read from one too early", "storage/views.cpp", "key_of(account.value, after + 1)", "key_of(account.value, after)", ["storage_test"]),
    ("an actor's events may leave a gap", "storage/group.cpp", "if (first != *last + 1)", "if (first < *last + 1)", ["storage_test"]),
    ("a row that had to be absent is written over", "storage/group.cpp", "if (*present)", "if (false)", ["storage_test"]),
    ("batches are written in another order", "storage/journal_thread.cpp", "out.push_back(std::move(queue_.front()));",
     "out.insert(out.begin(), std::move(queue_.front()));", ["storage_test"]),
    ("what the disk did not take is told as written", "storage/journal_thread.cpp", "      e.status = outcome;\n  count", "      (void)e;\n  count",
     ["storage_test"]),
    ("who has been told of a new row may find the old one remembered", "storage/journal_thread.cpp", "      ++versions_[i];",
     "      versions_[i] += 0;", ["storage_test"]),
    ("the log keeps its zeros when it is closed", "storage/file_system.cpp", "if (prepared_ > written_ && !failed_)", "if (false)",
     ["storage_test"]),
    ("a ledger writes all its holds with each 256th event", "actors/base/persistent.hpp", "std::max(snapshot_every_, worth)",
     "std::max(snapshot_every_, worth * 0)", ["actors_test"]),
    ("a damaged blob is believed", "storage/blobs.cpp", "if (found == sha256)", "if (true)", ["storage_test"]),
    ("a stage that is made again is charged again", "workflows/run.cpp", "if (!stage.captured)\n    out.capture", "if (true)\n    out.capture",
     ["workflows_test"]),
    ("a late report ends the attempt that came after", "actors/scheduler/scheduler_core.cpp", "return r.attempt == attempt; });",
     "return r.attempt == attempt || true; });", ["scheduler_test", "scheduler_simulation_test"]),
    ("stages of any class are stopped for others", "actors/scheduler/scheduler_attempts.cpp", "if (queue_.front_of(run.bucket).priority != priority_class::preemptible || run.stage == none",
     "if (run.stage == none", ["scheduler_test", "scheduler_simulation_test"]),
    ("both attempts of a straggler are charged", "actors/scheduler/scheduler_core.cpp", "return run.stage != none &&\n         (how == outcome::ok",
     "return (how == outcome::ok", ["scheduler_test"]),
    ("a slot that was woken wakes no other", "gpu/node/executor.cpp", "if (another != nullptr)", "if (false)", ["node_test"]),
    ("a start that is kept back is never written alone", "actors/job/start_timer.cpp", "  if (!due_.empty())\n    arm();", "", ["actors_test"]),
    ("who is not answered waits for ever", "http/bridge/gateway.cpp", "if (one.until <= now)", "if (one.until <= now - 60'000)", ["gateway_test"]),
    ("an upload that goes on is counted as lost", "gpu/link/head_transfers.cpp", "own.lost = false;", "", ["link_test"]),
    ("an upload that goes on is forgotten", "gpu/link/head_transfers.cpp", "own.used_ms = steady_ms();",
     "own.used_ms = own.used_ms == 0 ? steady_ms() : own.used_ms;", ["link_test"]),
    ("each chunk that comes again is asked for again", "gpu/link/head_transfers.cpp", "if (!own.told)", "if (true)", ["link_test"]),
    ("a node begins more uploads than the head takes", "gpu/node/node_transfers.cpp", "of_.uploads_ < places;", "true;", ["node_test"]),
    ("a machine that nobody allowed may join", "gpu/link/zap.cpp", "good = !key.empty() && allowed_ && allowed_(key);", "good = !key.empty();", ["link_test"]),
    ("a silent node keeps its stages", "actors/cluster/cluster_actor.cpp", "if (now - n.heard_at > options_.node_timeout_ms)", "if (false)",
     ["torture/network_test.py"]),
    ("a device that was taken out gets work after a restart", "actors/cluster/cluster_actor.cpp", "joined.what.draining = wanted != enabled;", "",
     ["cluster_test.py"]),
    ("a cookie of a longer name is taken for the session", "http/authentication.cpp", "pair.starts_with(name) && pair[name.size()] == '='",
     "pair.starts_with(name)", ["http_test"]),
    ("a key that was switched off opens the door", "http/bridge/store_authenticator.cpp", "if (!row || !row->value(\"active\", true))", "if (!row)",
     ["accounts_test.py"]),
    ("the link is gone before who speaks through it", "app/head_core.cpp", "  // Everyone is on the board;", "  link_.reset();\n  // Everyone is on the board;",
     ["cluster_test.py"]),
    ("a node forgets a result that nobody acknowledged", "gpu/node/executor.cpp", "results_.add(*outcome);", ";", ["node_test"]),
    ("an order of an earlier session takes a slot", "actors/device/device_actor.cpp", "if (connection_.empty() || m.session != session_)",
     "if (connection_.empty())", ["actors_test"]),
    ("what was stopped first is started", "actors/device/device_actor.cpp",
     "if (std::find(stopped_.begin(), stopped_.end(), ref) != stopped_.end()) {", "if (false) {", ["actors_test"]),
    ("a short stage delays the one that a device is kept for", "actors/scheduler/scheduler_reservations.cpp",
     "return now_ + static_cast<timestamp>(late) < begins;", "return (void(late), void(begins), true);", ["scheduler_test"]),
    ("a stage waits for ever for a device that left", "actors/scheduler/scheduler_core.cpp", "  ask_anew();\n", "", ["scheduler_test"]),
    ("a model that was just loaded is pushed out at once", "actors/scheduler/scheduler_placement.cpp",
     "auto is_fresh = now_ - warm.loaded < limits_.residency_min_ms;", "auto is_fresh = false;", ["scheduler_test"]),
    ("a device is kept for whoever waits for its turn", "actors/scheduler/scheduler_placement.cpp",
     "if (next && turn_of(front, next->key) <= turn)", "if (next && turn_of(front, next->key) <= turn + 1'000'000'000'000)", ["scheduler_test"]),
    ("who comes joins behind what others are charged and get back", "actors/scheduler/fair_queue.cpp", "settled(account, pool));", "time_of(account, pool));",
     ["scheduler_test"]),
    ("use of other devices counts for ever where kinds share some", "actors/scheduler/scheduler_core.cpp", "    queue_.keep_up(own.pools);", "    (void)own;",
     ["scheduler_test"]),
    ("a pool that was charged too much is never behind", "actors/scheduler/fair_queue.cpp", " || clock.account == account)", ")", ["scheduler_test"]),
    ("a second attempt goes where the stage has failed", "actors/scheduler/scheduler_attempts.cpp", " &&\n          !has_failed_on(device, beside.stage))", ")", ["scheduler_test"]),
    ("who is at its cap is filed where nobody looks again", "actors/scheduler/fair_queue.cpp", "  else if (!at_cap(line.account))", "  else", ["scheduler_test"]),
    ("a stage takes the same memory of each device", "actors/scheduler/scheduler_placement.cpp", ": devices_.classes()[of_class].need(wanted.kind, wanted.vram_mib)", ": wanted.vram_mib", ["scheduler_test"]),
    ("a pool is behind while its long stages run", "actors/scheduler/fair_queue.cpp", "std::max(own.given, own.time)", "own.time", ["scheduler_test"]),
    ("a loaded model goes first for ever", "actors/scheduler/scheduler_placement.cpp",
     "on_loaded_us < limits_.warm_run_max_ms * 1000", "on_loaded_us >= 0", ["scheduler_test"]),
    ("what is let in may delay the one that a device is kept for", "actors/scheduler/scheduler_reservations.cpp",
     "slots >= 1 && free >= one && (slots < 2", "slots >= 1 && free >= one && ended + 1 == std::size_t{1} << runs && (slots < 2", ["scheduler_test"]),
    ("a class that waits elsewhere takes another its share", "actors/scheduler/scheduler_placement.cpp",
     "for (auto in_want : classes_in_want(own))\n      if (line == none)", "for (auto in_want : classes_in_want(own))\n      if (in_want == classes_in_want(own)[0])",
     ["scheduler_test"]),
    ("devices that come and go are not counted as they are", "actors/scheduler/device_pool.cpp", "count(record, record.stands());",
     "if (!record.draining)\n    count(record, record.stands());", ["scheduler_test", "scheduler_simulation_test"]),
    ("what an account is owed is never paid", "actors/scheduler/fair_queue.cpp", "own.time += amount - paid;", "own.time += amount;", ["scheduler_test"]),
    ("a withdrawal takes what was placed since", "actors/scheduler/scheduler_core.cpp",
     "|| running_[at].withdrawn || running_[at].attempt > e.up_to)", "|| running_[at].withdrawn)", ["scheduler_test"]),
    ("an answer tells of what is not on the disk", "actors/job/job_steps.cpp", "{{\"job_id\", id()}, {\"status\", status}}",
     "{{\"job_id\", id()}, {\"status\", (void(status), core_.status())}}", ["actors_test"]),
    ("an end from before counts against a later hello", "actors/scheduler/recent_attempts.hpp", "ring_[at].hello >= hello", "(void(hello), true)",
     ["scheduler_test"]),
    ("a hello that is said twice is believed", "actors/cluster/cluster_actor.cpp", "if (n.connected && n.connection == m.connection)", "if (false)",
     ["faults/lying_node_test.py"]),
    ("a node may forget before its job has the result", "actors/device/device_actor.cpp", "  reporting_.insert(ref);\n",
     "  reporting_.insert(ref);\n  link_->send(connection_, wire::acknowledge{ref});\n", ["troupe-sim"]),
    ("a failed attempt that a crash forgot leaves its stage in no queue", "actors/job/job_reports.cpp",
     "queued_.erase(stage); // it may have been queued while it ran: another attempt, or one that a crash forgot", "", ["troupe-sim", "actors_test"]),
    ("a job does not say that its attempt goes on", "actors/job/job_placement.cpp",
     "  tell(others_->scheduler, attempt_goes_on{{request_for(m.stage), device_id{m.device}, m.attempt}});", "", ["troupe-sim", "actors_test"]),
    ("a device gets work before what it holds is claimed", "actors/scheduler/scheduler_core.cpp",
     "    if (stage == none) {\n      device.unclaimed.push_back(held[i]);\n      continue;", "    if (stage == none) {\n      continue;", ["troupe-sim"]),
    ("an alarm is as far away as what it is for", "actors/job/job_placement.cpp", "std::min(wait, look_again_ms)", "wait", ["actors_test"]),
    ("a lost node's stages stay with it", "actors/cluster/cluster_actor.cpp", "    tell(others_->scheduler, device_left{full});\n    sessions_.erase(full);\n  }\n  publish",
     "    sessions_.erase(full);\n  }\n  publish", ["troupe-sim"]),
]


def run(command, seconds, **more):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False, **more)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, f"FAIL: it hangs: {seconds} s are not enough")


def prepare():
    run(["git", "worktree", "prune"], 60, cwd=ROOT)
    if COPY.exists():  # what it has built is still good
        head = run(["git", "rev-parse", "HEAD"], 60, cwd=ROOT).stdout.strip()
        made = run(["git", "checkout", "--force", "--detach", head], 60, cwd=COPY)
    else:
        made = run(["git", "worktree", "add", "--detach", str(COPY), "HEAD"], 60, cwd=ROOT)
    if made.returncode != 0:
        sys.exit(made.stdout)
    made = run(["cmake", "--preset", "release"], 300, cwd=COPY)
    if made.returncode != 0:
        sys.exit(made.stdout)


def build(tests):
    targets = sorted({test if not test.endswith(".py") else "troupe" for test in tests})
    return run(["cmake", "--build", "--preset", "release", "--"] + targets, 3600, cwd=COPY)


def noticed(test):
    """The first line that says so, or nothing."""
    if test.endswith(".py"):
        command = ["/usr/bin/python3", f"tests/{test}" if "/" in test else f"tests/integration/{test}"]
        ended = run(command, 600, cwd=COPY, env={"TROUPE_BINARY": str(BUILD / "troupe"), "PATH": "/usr/bin:/bin", "HOME": str(pathlib.Path.home()),
                                                 "TROUPE_KILLS": "10", "TROUPE_CRASHES": "20",
                                                 "TROUPE_PATIENCE": os.environ.get("TROUPE_PATIENCE", "1")})
    elif test == "troupe-sim":
        ended = run([str(BUILD / test), "--seeds", str(SEEDS)], 600, cwd=COPY)
    else:
        ended = run([str(BUILD / "bin" / test)], 180, cwd=COPY)
    if ended.returncode == 0:
        return None
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("[  FAILED  ]", "FAIL:", "ERROR:", "seed ")) or "check failed" in line.lower()]
    return lines[0] if lines else f"{test} ended with {ended.returncode}"


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if unknown := [word for word in sys.argv[1:] if word.startswith("--") and word != "--list"]:
        sys.exit(f"{unknown[0]} is not an option.\n\n{__doc__}")
    chosen = [m for m in MUTANTS if all(word in m[0] for word in words)]
    if "--list" in sys.argv:
        print("\n".join(m[0] for m in chosen))
        return
    prepare()
    unharmed = build(test for m in chosen for test in m[4])
    if unharmed.returncode != 0:
        sys.exit(unharmed.stdout[-3000:])
    for test in sorted({test for m in chosen for test in m[4]}):  # one that fails anyway would seem to catch everything
        if said := noticed(test):
            sys.exit(f"{test} fails without any fault: {said}")
    survived = []
    for name, file, there, put, tests in chosen:
        begin = time.monotonic()
        path = COPY / file
        text = path.read_text()
        if text.count(there) != 1:
            print(f"STALE     {name}: {file} has its place {text.count(there)} times", flush=True)
            survived.append(name)
            continue
        path.write_text(text.replace(there, put))
        made = build(tests)
        said = next((what for what in map(noticed, tests) if what), None) if made.returncode == 0 else "it does not compile"
        path.write_text(text)
        if made.returncode != 0 or not said:
            survived.append(name)
        verdict = "NO BUILD" if made.returncode != 0 else "caught" if said else "SURVIVED"
        print(f"{verdict:9} {name} ({time.monotonic() - begin:.0f} s): {said or 'no test noticed'}", flush=True)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} faults were caught")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
