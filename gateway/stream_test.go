package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

type row struct {
	N    int
	Took time.Duration
}

// registerStreams registers functions that stream.
func registerStreams(t *testing.T, n *broach.Node) {
	must(t, n.Register("count", func(most int) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			for i := range most {
				if !yield(row{i + 1, time.Second}, nil) {
					return
				}
			}
			if most == 3 {
				yield(row{}, errors.New("three is too many"))
			}
		}
	}, broach.Idempotent()))
	must(t, n.Register("total", func(from int, in iter.Seq2[int, error]) (int, error) {
		for v, err := range in {
			if err != nil {
				return 0, err
			}
			from += v
		}
		return from, nil
	}))
	must(t, n.Register("echo", func(in iter.Seq2[any, error]) iter.Seq2[any, error] { return in }))
	must(t, n.Register("bytes", func() iter.Seq2[string, error] {
		return func(yield func(string, error) bool) { _ = yield("fine", nil) && yield("\xff", nil) }
	}))
	must(t, n.Register("plain", func(x int) int { return x }))
}

func startStreams(t *testing.T, opts ...gateway.Option) (*gateway.Gateway, *broach.Node) {
	c := broachtest.New(t)
	node, shop := c.Start("gateway"), c.Start("shop")
	registerStreams(t, shop)
	c.Settle()
	return newGateway(t, node, append(opts, gateway.Expose("*"))...), shop
}

func TestStreamedResults(t *testing.T) {
	g, _ := startStreams(t, gateway.Route("GET /count/{n}", "count"))
	const two = `{"N":1,"Took":"1s"}` + "\n" + `{"N":2,"Took":"1s"}` + "\n" + `{"end":2}` + "\n"
	for _, accept := range []string{"", "*/*", "application/x-ndjson", "text/html, application/*;q=0.5"} {
		w := ask(g, "POST", "/rpc/count", `2`, "Accept", accept)
		require.Equal(t, two, w.Body.String())
		require.Equal(t, "application/x-ndjson", w.Header().Get("Content-Type"))
	}
	require.Equal(t, two, ask(g, "GET", "/rpc/count?arg=2", "").Body.String())
	require.Equal(t, two, ask(g, "GET", "/count/2", "").Body.String())
	require.Equal(t, `{"end":0}`+"\n", ask(g, "POST", "/rpc/count", `0`).Body.String())
	w := ask(g, "POST", "/rpc/count?int64=string", `1`)
	require.Equal(t, `{"N":"1","Took":"1s"}`+"\n"+`{"end":1}`+"\n", w.Body.String())

	w = ask(g, "POST", "/rpc/count", `2`, "Accept", "text/event-stream")
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Equal(t, "event: item\nid: 1\ndata: {\"N\":1,\"Took\":\"1s\"}\n\n"+
		"event: item\nid: 2\ndata: {\"N\":2,\"Took\":\"1s\"}\n\nevent: end\nid: end\ndata: 2\n\n", w.Body.String())

	// an error is the last line, with status 200 even so
	w = ask(g, "POST", "/rpc/count", `3`)
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, lines[3], `{"error":{"code":"Application","detail":"three is too many"`)
	w = ask(g, "POST", "/rpc/bytes", ``)
	require.Contains(t, w.Body.String(), "\"fine\"\n{\"error\":{")
	require.Contains(t, w.Body.String(), "not-representable")
	// but before the first item it is a status
	require.Equal(t, http.StatusBadRequest, ask(g, "POST", "/rpc/count", `"x"`).Code)
	require.Equal(t, http.StatusNotFound, ask(g, "POST", "/rpc/nothing", ``, "Accept", "application/x-ndjson").Code)
	require.Equal(t, http.StatusNotAcceptable, ask(g, "POST", "/rpc/count", `1`, "Accept", "application/json").Code)
	require.Equal(t, http.StatusNotAcceptable, ask(g, "POST", "/rpc/plain", `1`, "Accept", "text/event-stream").Code)
	require.Equal(t, http.StatusBadRequest, ask(g, "POST", "/rpc/count?mode=all", `1`).Code)
	require.Zero(t, g.Stats().EventStreams+g.Stats().InFlight)

	w = ask(g, "POST", "/rpc/count", `20000`)
	require.Equal(t, 20001, strings.Count(w.Body.String(), "\n"))
	require.True(t, strings.HasSuffix(w.Body.String(), `{"end":20000}`+"\n"))
	require.Contains(t, ask(g, "GET", "/openapi.json", "").Body.String(), "application/x-ndjson")
}

// "An EventSource comes back by itself when a stream has ended, too": the function does not run again for that.
func TestAStreamThatHasEndedStaysSo(t *testing.T) {
	node := broachtest.New(t).Start("shop")
	g := newGateway(t, node, gateway.Expose("*"))
	var ran atomic.Int64
	must(t, node.Register("once", func() iter.Seq2[int, error] {
		ran.Add(1)
		return func(yield func(int, error) bool) { yield(1, nil) }
	}, broach.Idempotent()))
	for _, method := range []string{"GET", "HEAD"} {
		w := ask(g, method, "/rpc/once", "", "Accept", "text/event-stream", "Last-Event-ID", "end")
		require.Equal(t, http.StatusNoContent, w.Code)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "another one may begin anew")
		require.Empty(t, w.Body.String())
	}
	require.Zero(t, ran.Load())
	require.Zero(t, g.Stats().EventStreams+g.Stats().InFlight)
	for _, header := range [][]string{{"Accept", "text/event-stream", "Last-Event-ID", "1"},
		{"Accept", "application/x-ndjson", "Last-Event-ID", "end"}, {"Accept", "text/event-stream"}} {
		require.Equal(t, http.StatusOK, ask(g, "GET", "/rpc/once", "", header...).Code, "%v", header)
	}
	require.EqualValues(t, 3, ran.Load())
}

func TestStreamedArguments(t *testing.T) {
	g, _ := startStreams(t, gateway.MaxBody(50))
	const lines = "application/x-ndjson"
	for _, c := range []struct{ target, body, media, want string }{
		{"/rpc/total?arg=10", "1\n2\n\n 3", lines, "16\n"},
		{"/rpc/total?arg=10", "", lines, "10\n"},
		{"/rpc/total?arg=10", strings.Repeat("1\n", 1000), lines, "1010\n"}, // MaxBody is of a line
		{"/rpc/total", "[10, [1, 2, 3]]", "application/json", "16\n"},
		{"/rpc/total", "\x92\x0a\x93\x01\x02\x03", "application/msgpack", "16\n"},
		{"/rpc/echo", "{\"a\": 1}\n\"x\"\n", lines, "{\"a\":1}\n\"x\"\n{\"end\":2}\n"},
	} {
		w := ask(g, "POST", c.target, c.body, "Content-Type", c.media)
		require.Equal(t, c.want, w.Body.String(), c.target)
	}
	for _, c := range []struct {
		target, body, media, want string
		status                    int
	}{
		{"/rpc/total?arg=10", "1\n\"x\"\n", lines, `line 2: "x" is no int`, 400},
		{"/rpc/total?arg=10", "1\n[1", lines, "line 2: the JSON is wrong", 400},
		{"/rpc/total?arg=10", strings.Repeat("1", 60), lines, "larger than the gateway takes", 400},
		{"/rpc/total?arg=x", "1", lines, `argument 1: "x" is no int`, 400},
		{"/rpc/total", "1", lines, "takes 2 arguments, there are 1", 400},
		{"/rpc/total?x=1", "1", lines, "takes 2 arguments", 400},
		{"/rpc/total", "[10, 1]", "application/json", "1 is no stream", 400},
		{"/rpc/total", "[10, [\"x\"]]", "application/json", `at [0]: "x" is no int`, 400},
		{"/rpc/plain", "1", lines, "the function takes no stream", 415},
	} {
		w := ask(g, "POST", c.target, c.body, "Content-Type", c.media)
		require.Equal(t, c.status, w.Code, "%s: %s", c.target, w.Body)
		require.Contains(t, problemOf(t, w)["detail"], c.want)
	}
}

// Items go out as they come, and who leaves ends the function.
func TestAStreamThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, shop := c.Start("gateway"), c.Start("shop")
		registerStreams(t, shop)
		ended := make(chan struct{}, 1)
		must(t, shop.Register("ticks", func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				defer func() { ended <- struct{}{} }()
				for n := 1; ; n++ {
					select {
					case <-time.After(time.Minute):
					case <-ctx.Done():
						return
					}
					if !yield(n, nil) {
						return
					}
				}
			}
		}))
		c.Settle()
		g := newGateway(t, node, gateway.Expose("*"), gateway.MaxEventStreams(2), gateway.MaxTimeout(time.Second))
		h, _ := serveHall(t, g)
		open := func(accept string) (io.Closer, *bufio.Reader) {
			conn := h.dial()
			_, err := fmt.Fprintf(conn, "POST /rpc/ticks HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: 0\r\nBroach-Timeout: 1h\r\n\r\n", accept)
			must(t, err)
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			require.Equal(t, http.StatusOK, r.StatusCode)
			return conn, bufio.NewReader(r.Body)
		}
		read := func(r *bufio.Reader) string {
			s, err := r.ReadString('\n')
			must(t, err)
			return strings.TrimSpace(s)
		}
		one, lines := open("*/*")
		require.Equal(t, "1", read(lines))
		require.Equal(t, "2", read(lines), "MaxTimeout is none of a stream")
		two, events := open("text/event-stream")
		for range 2 * 3 {
			read(events) // comments, with an empty line each, until the first item
		}
		require.Equal(t, 2, g.Stats().EventStreams)
		require.Zero(t, g.Stats().InFlight)
		require.Equal(t, http.StatusServiceUnavailable, ask(g, "POST", "/rpc/ticks", "").Code, "one more than may be")
		must(t, one.Close())
		<-ended
		go func() { _, _ = io.Copy(io.Discard, events) }()
		must(t, g.Close())
		<-ended
		synctest.Wait()
		require.Zero(t, g.Stats().EventStreams)
		must(t, two.Close())
	})
}

// A client that reads slowly holds the function, and memory for little of what that yields; one that reads no more ends
// it.
func TestASlowClientHoldsTheFunction(t *testing.T) {
	for _, accept := range []string{"application/x-ndjson", "text/event-stream"} {
		synctest.Test(t, func(t *testing.T) {
			g, shop := startStreams(t)
			var yielded atomic.Int64
			ended := make(chan struct{})
			must(t, shop.Register("texts", func() iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					defer close(ended)
					for yield(strings.Repeat("x", 100<<10), nil) {
						yielded.Add(1)
					}
				}
			}))
			time.Sleep(time.Second) // until the gateway knows it
			h, _ := serveHall(t, g)
			conn := h.dial()
			_, err := fmt.Fprintf(conn, "POST /rpc/texts HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: 0\r\n\r\n", accept)
			must(t, err)
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			read := int64(0)
			for lines := bufio.NewReader(r.Body); read < 20; {
				line, err := lines.ReadString('\n')
				must(t, err)
				if len(line) > 100<<10 {
					read++
				}
				time.Sleep(time.Second)
				// the room of the call, 256 KiB, and what gateway and server are writing
				require.LessOrEqual(t, yielded.Load(), read+6)
			}
			began := time.Now()
			<-ended
			require.LessOrEqual(t, time.Since(began), 30*time.Second)
			must(t, conn.Close())
		})
	}
}

// "They count for MaxEventStreams, not for MaxInFlight", those that a client sends, too, and end with the gateway.
func TestStreamsOfAllKindsEndWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := startStreams(t, gateway.MaxInFlight(1), gateway.MaxEventStreams(2))
		h, s := serveHall(t, g)
		answers := make(chan string, 2)
		for _, name := range []string{"total?arg=1", "echo"} {
			conn := h.dial()
			_, err := fmt.Fprintf(conn, "POST /rpc/%s HTTP/1.1\r\nHost: localhost\r\n"+
				"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n", name)
			must(t, err)
			go func() {
				b, _ := io.ReadAll(conn)
				answers <- string(b)
			}()
			time.Sleep(10 * time.Second) // longer than CallTimeout
		}
		require.Equal(t, 2, g.Stats().EventStreams)
		require.Zero(t, g.Stats().InFlight)
		require.Equal(t, http.StatusServiceUnavailable, ask(g, "POST", "/rpc/count", "1").Code, "a third")
		require.Equal(t, "7\n", ask(g, "POST", "/rpc/plain", "7").Body.String())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		must(t, s.Shutdown(ctx))
		for range 2 {
			require.Contains(t, <-answers, `"code":"Closed"`)
		}
		require.Zero(t, g.Stats().EventStreams)
	})
}

// Both directions at once, over HTTP/1.1.
func TestAConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := startStreams(t)
		h, _ := serveHall(t, g)
		conn := h.dial()
		_, err := io.WriteString(conn, "POST /rpc/echo HTTP/1.1\r\nHost: localhost\r\n"+
			"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n")
		must(t, err)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		body := bufio.NewReader(r.Body)
		for i := range 3 {
			line, err := body.ReadString('\n')
			must(t, err)
			require.Equal(t, fmt.Sprintln(i+1), line)
			_, err = fmt.Fprintf(conn, "2\r\n%d\n\r\n", i+2)
			must(t, err)
		}
		_, err = io.WriteString(conn, "0\r\n\r\n")
		must(t, err)
		rest, err := io.ReadAll(body)
		must(t, err)
		require.Equal(t, "4\n{\"end\":4}\n", string(rest))
		must(t, conn.Close())

		conn = h.dial() // one that says nothing more is not waited for
		began := time.Now()
		_, err = io.WriteString(conn, "POST /rpc/total?arg=1 HTTP/1.1\r\nHost: localhost\r\nBroach-Timeout: 1s\r\n"+
			"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n")
		must(t, err)
		b, _ := io.ReadAll(conn)
		require.Contains(t, string(b), "504 Gateway Timeout")
		require.Less(t, time.Since(began), 3*time.Second)

		conn = h.dial() // what is not read of a stream is no request
		statuses, _ := exchange(t, conn, "POST /rpc/total?arg=1 HTTP/1.1\r\nHost: localhost\r\n"+
			"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\"x\"\n\r\n"+
			"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.Equal(t, []string{"400"}, statuses)
	})
}
