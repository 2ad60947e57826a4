-- One fixed POST for wrk. BENCH_BODY is the request's body. With BENCH_EXPECT set, every answer must
-- be a 200 whose body contains that text. The result is printed as one line after "RESULT ".

wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"

local expected = os.getenv("BENCH_EXPECT")
local threads = {}
wrong = 0

function setup(thread)
  table.insert(threads, thread)
end

if expected then
  function response(status, headers, body)
    if status ~= 200 or not string.find(body, expected, 1, true) then
      wrong = wrong + 1
    end
  end
end

function done(summary, latency, requests)
  local wrong_answers = 0
  for _, thread in ipairs(threads) do
    wrong_answers = wrong_answers + thread:get("wrong")
  end
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, '
      .. '"bad_status": %d, "socket_errors": %d, "wrong": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, failed, wrong_answers))
end
