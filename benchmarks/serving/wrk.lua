-- Sends the files named after `--`, each a whole HTTP request, in turn and again and again.
-- Prints one line of JSON at the end: what wrk prints itself is rounded for people.
local requests, sent = {}, 0

function init(files)
   for i = 1, #files do
      local file = assert(io.open(files[i], "rb"))
      requests[i] = file:read("*a")
      file:close()
   end
end

function request()
   sent = sent % #requests + 1
   return requests[sent]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "connect": %d, "read": %d,'
         .. ' "write": %d, "timeout": %d, "status": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
