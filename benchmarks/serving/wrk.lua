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
   local errors, counts = summary.errors, {}
   for i = 1, #latency do
      counts[i] = string.format("[%d, %d]", latency(i))
   end
   io.write(string.format(
      '{"requests": %d, "microseconds": %d, "latencies": [%s], "connect": %d, "read": %d,'
         .. ' "write": %d, "timeout": %d, "status": %d}\n',
      summary.requests, summary.duration, table.concat(counts, ", "),
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
