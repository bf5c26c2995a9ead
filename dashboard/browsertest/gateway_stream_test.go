package browsertest

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// soon waits for what ticks says when it has ended, or for anything like that.
func soon[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		require.FailNow(t, "not within 10 s")
		panic("unreachable")
	}
}

// hasStreams waits until so many are open at the gateway.
func (s *shop) hasStreams(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.gateway.Stats().EventStreams == n }, 10*time.Second,
		5*time.Millisecond)
}

// "One line of JSON for each item, as it comes, and a last one that says how the stream ended": the function yields
// the next item only when the page has the former one.
func TestAPageFollowsAStream(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.visit(s.friend)
	b.run(`follow("/rpc/ticks?arg=3")`)
	b.gets("1")
	s.nextc <- struct{}{}
	b.gets("1", "2")
	s.nextc <- struct{}{}
	b.gets("1", "2", "3", `{"end":3}`, "closed")
	soon(t, s.endedc)
	s.hasStreams(0)

	b.run(`got.length = 0; follow("/rpc/fails?arg=1")`)
	b.await("got.length === 3", 10*time.Second)
	require.Contains(t, eval[string](b, "got[1]"), `{"error":{`)
	require.Contains(t, eval[string](b, "got[1]"), "sold out")

	// "a stream without either as its last line was cut off": the browser says so, too
	b.run(`got.length = 0; follow("/rpc/ticks?arg=3")`)
	b.gets("1")
	s.server.CloseClientConnections()
	b.gets("1", "TypeError")
	soon(t, s.endedc)
}

// A page that wants no more, or is closed, ends the function, which waits for its next item then.
func TestAPageLeavesAStream(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.visit(s.friend)
	b.run(`window.stop = new AbortController(); follow("/rpc/ticks?arg=3", {signal: stop.signal})`)
	b.gets("1")
	s.hasStreams(1)
	b.run("stop.abort()")
	soon(t, s.endedc)
	b.gets("1", "AbortError")
	s.hasStreams(0)

	b.run(`got.length = 0
		follow("/rpc/ticks", {method: "POST", body: "[3]", headers: {"Content-Type": "application/json"}})`)
	b.gets("1")
	b.do(chromedp.Reload()) // a page that is left for another may be kept for a while, with its requests
	soon(t, s.endedc)
	s.hasStreams(0)
}

// Over a WebSocket, which a stranger gets none of, a page follows a stream and leaves it.
func TestAPageOpensAWebSocket(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.visit(s.friend)
	b.run(`window.socket = dial('{"id": 1, "op": "call", "name": "ticks", "args": [2]}')`)
	b.gets(`{"id":1,"item":1}`)
	s.hasStreams(1)
	s.nextc <- struct{}{}
	b.gets(`{"id":1,"item":1}`, `{"id":1,"item":2}`, `{"end":2,"id":1}`)
	soon(t, s.endedc)
	b.run(`got.length = 0; socket.send('{"id": 1, "op": "call", "name": "ticks", "args": [2]}')`)
	b.gets(`{"id":1,"item":1}`)
	b.run("socket.close()")
	soon(t, s.endedc)
	s.hasStreams(0)
}

// publish publishes under sold, which the gateway listens to, or not.
func (s *shop) publish(v any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	_, err := s.node.Publish(ctx, "sold", v)
	require.NoError(s.t, err)
}

// hasListeners waits until the node knows whether the gateway listens to sold.
func (s *shop) hasListeners(is bool) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return (len(s.node.Topics()) > 0) == is }, 10*time.Second, 5*time.Millisecond)
}

// "Ids count from 1 for each client. Nothing is kept: Last-Event-ID is answered by event: lost with data: null." An
// EventSource that was cut off comes back by itself, after 3 s in this browser.
func TestAnEventSourceComesBack(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.visit(s.friend)
	b.run(`window.source = listen("/events/sold", "lost")`)
	s.hasListeners(true)
	s.publish("milk")
	s.publish("tea")
	before := []string{"open", `message 1 "milk"`, `message 2 "tea"`}
	b.hears("source.got", before...)
	s.hasStreams(1)

	s.server.CloseClientConnections()
	s.hasStreams(0)
	s.hasListeners(false)
	s.publish("while nobody listened")
	before = append(before, "state 0", "open", "lost 2 null")
	b.hears("source.got", before...)
	s.hasListeners(true)
	s.publish("beer")
	b.hears("source.got", append(before, `message 1 "beer"`)...)
	b.run("source.close()")
	s.hasStreams(0)
	s.hasListeners(false)
}

// "Comes back by itself: to a stream that was cut off, or failed, which then begins anew." To one that has ended: "no
// browser asks again, and the function does not run". Nor where there was only a status.
func TestAnEventSourceBeginsAnew(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.visit(s.friend)
	b.run(`window.cut = listen("/rpc/ticks?arg=9", "item", "end")`)
	b.hears("cut.got", "open", "item 1 1")
	s.server.CloseClientConnections()
	soon(t, s.endedc)
	b.run(`window.ended = listen("/rpc/ticks?arg=1", "item", "end")
		window.refused = listen("/rpc/fails?arg=0", "item", "end")
		window.failed = listen("/rpc/fails?arg=1", "item", "end")
		failed.addEventListener("item", () => failed.got.length === 6 && failed.close())`)
	soon(t, s.endedc)
	b.hears("refused.got", "state 2")
	b.hears("cut.got", "open", "item 1 1", "state 0", "open", "item 1 1")
	b.hears("ended.got", "open", "item 1 1", "end end 1", "state 0", "state 2")
	b.await("failed.readyState === 2", 10*time.Second)
	require.Regexp(t, `^error 1 {.*"detail":"sold out"`, eval[string](b, "failed.got.splice(2, 1)[0]"))
	b.hears("failed.got", "open", "item 1 1", "state 0", "open", "item 1 1")
	require.EqualValues(t, 6, s.ran.Load(), "twice each, but for those that ended and were refused")
	s.hasStreams(1)
	b.run("cut.close()")
	soon(t, s.endedc)
	s.hasStreams(0)
}
