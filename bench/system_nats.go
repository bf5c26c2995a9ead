package main

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsSystem is NATS request and reply: the server embedded in the child, the responder beside it on a connection of
// its own with a queue subscription for each processor, and one connection here shared by all callers. NATS has no
// codec: the integers travel as they are.
var natsSystem = system{name: "nats", title: "NATS", serve: serveNATS, dial: dialNATS}

const (
	natsPatience = 10 * time.Second // for the server to start, and for a reply

	// The defaults are 1 MiB and 64 MiB; the limits cost nothing by themselves. A payload cannot have more.
	natsMaxPayload = 64 << 20
	natsMaxPending = 4 * natsMaxPayload
)

func serveNATS() (server, error) {
	broker, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT,
		NoLog: true, NoSigs: true,
		MaxPayload: natsMaxPayload, MaxPending: natsMaxPending,
	})
	if err != nil {
		return server{}, err
	}
	broker.Start()
	if !broker.ReadyForConnections(natsPatience) {
		return server{}, errors.New("the NATS server does not start")
	}
	responder, err := respondNATS(broker.ClientURL())
	if err != nil {
		return server{}, err
	}
	stop := func() {
		responder.Close()
		broker.Shutdown()
	}
	return server{addr: broker.ClientURL(), stop: stop}, nil
}

// respondNATS answers the three subjects. Handlers run inside the subscriptions: a goroutine for each message would
// only make these short ones slower.
func respondNATS(url string) (*nats.Conn, error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	for subject, answer := range natsAnswers {
		for range runtime.NumCPU() {
			_, err = conn.QueueSubscribe(subject, subject, func(m *nats.Msg) { m.Respond(answer(m.Data)) })
			if err != nil {
				return nil, err
			}
		}
	}
	return conn, conn.Flush()
}

var natsAnswers = map[string]func(p []byte) []byte{
	"add":  natsSum,
	"echo": func(p []byte) []byte { return p },
	"put":  func(p []byte) []byte { return binary.LittleEndian.AppendUint32(nil, checksum(p)) },
}

func natsSum(p []byte) []byte {
	sum := binary.LittleEndian.Uint64(p) + binary.LittleEndian.Uint64(p[8:])
	return binary.LittleEndian.AppendUint64(nil, sum)
}

type natsClient struct{ conn *nats.Conn }

func dialNATS(url string) (client, error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	return natsClient{conn}, nil
}

func (c natsClient) ask(subject string, p []byte) ([]byte, error) {
	m, err := c.conn.Request(subject, p, natsPatience)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (c natsClient) add(x, y int) (int, error) {
	p := binary.LittleEndian.AppendUint64(make([]byte, 0, pairSize), uint64(x))
	answer, err := c.ask("add", binary.LittleEndian.AppendUint64(p, uint64(y)))
	if err != nil {
		return 0, err
	}
	return int(binary.LittleEndian.Uint64(answer)), nil
}

func (c natsClient) echo(p []byte) ([]byte, error) { return c.ask("echo", p) }

func (c natsClient) put(p []byte) (uint32, error) {
	answer, err := c.ask("put", p)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(answer), nil
}

func (c natsClient) close() { c.conn.Close() }
