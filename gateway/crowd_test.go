//go:build linux

package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/gateway"
	"broach/internal/race"
)

// What crowds of clients take of a gateway's memory, as the system counts it. The gateway is a process of its own.

const (
	crowdStreams = 10_000
	crowdCalls   = 16
)

// "10,000 SSE clients <= 400 MiB", and one more is told that there is no room.
func TestTenThousandEventStreams(t *testing.T) {
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if race.Enabled || files.Cur < crowdStreams+200 {
		t.Skip("needs 10,200 open files, and no race detector, which takes memory, too")
	}
	crowd := startPart(t, "crowd")
	url := crowd.line(t)
	conns := make([]net.Conn, crowdStreams)
	for i := range conns {
		conn, status := openStream(t, url)
		require.Equal(t, http.StatusOK, status, "stream %d", i)
		conns[i] = conn
	}
	peak := crowd.seen(t).Peak
	t.Logf("%d streams: %d MiB", crowdStreams, peak>>20)
	require.LessOrEqual(t, peak, int64(400<<20))

	refused, status := openStream(t, url)
	require.Equal(t, http.StatusServiceUnavailable, status)
	must(t, refused.Close())
	r, err := http.Post(url+"/events/sold", "application/json", strings.NewReader("7"))
	must(t, err)
	must(t, r.Body.Close())
	require.Equal(t, http.StatusOK, r.StatusCode)
	for _, conn := range conns {
		for in := bufio.NewReader(conn); ; {
			line, err := in.ReadString('\n')
			must(t, err)
			if line == "data: 7\n" {
				break
			}
		}
		must(t, conn.Close())
	}
}

// openStream asks for events, and returns when the head of the answer is there.
func openStream(t *testing.T, url string) (net.Conn, int) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	must(t, err)
	_, err = io.WriteString(conn, "GET /events/sold HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	r, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	must(t, err)
	return conn, r.StatusCode
}

// "memory of 1,000 requests with 4 MiB bodies bounded by MaxInFlight": each of 16 that are under way takes its body,
// and what that becomes here and at the function, and as much again that the collector of garbage has not seen yet.
func TestAThousandLargeBodies(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes memory, too")
	}
	const clients, size = 1000, 4 << 20
	crowd := startPart(t, "crowd")
	url := crowd.line(t)
	body := `["` + strings.Repeat("x", size-4) + `"]`
	var answered atomic.Int64
	ask := func() {
		r, err := http.Post(url+"/rpc/length", "application/json", strings.NewReader(body))
		if err != nil {
			return // a server that refuses reads no body, so what it says may be lost
		}
		defer r.Body.Close()
		if text, err := io.ReadAll(r.Body); err == nil && string(text) == strconv.Itoa(size-4)+"\n" {
			answered.Add(1)
		}
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(ask)
	}
	all.Wait()
	seen := crowd.seen(t)
	t.Logf("%d answered, %d refused, %d MiB", answered.Load(), seen.Refused, seen.Peak>>20)
	require.EqualValues(t, clients, answered.Load()+int64(seen.Refused))
	require.GreaterOrEqual(t, answered.Load(), int64(crowdCalls))
	require.LessOrEqual(t, seen.Peak, int64(crowdCalls*4*size*2+64<<20))
}

func init() { parts["crowd"] = beCrowded }

// seen is what the process of the gateway has seen.
type seen struct {
	Peak    int64 // bytes of memory, at most
	Refused uint64
}

func (p *part) seen(t *testing.T) (s seen) {
	_, err := io.WriteString(p.in, "\n")
	must(t, err)
	must(t, json.Unmarshal([]byte(p.line(t)), &s))
	return s
}

// beCrowded serves a gateway, and tells what it has seen for each line of its input.
func beCrowded(string) {
	n, err := broach.Start(broach.Config{Name: "gateway", LogLevel: "error"})
	check(err)
	check(n.Register("length", func(s string) int { return len(s) }))
	check(n.WaitFor(context.Background(), "length", 1))
	g, err := gateway.New(n, gateway.Expose("length"), gateway.MaxInFlight(crowdCalls), gateway.ExposeEvents("sold"),
		gateway.PublishEvents("sold"), gateway.MaxEventStreams(crowdStreams))
	check(err)
	fmt.Println(listen(gateway.Server("", g)))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		check(json.NewEncoder(os.Stdout).Encode(seen{peak(), g.Stats().Refused}))
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peak() int64 {
	b, err := os.ReadFile("/proc/self/status")
	check(err)
	n, err := strconv.ParseInt(string(peakLine.FindSubmatch(b)[1]), 10, 64)
	check(err)
	return n << 10
}
