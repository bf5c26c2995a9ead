package main

import (
	"net"
	"net/rpc"
)

// netRPC is the standard library's, with gob, one connection shared by all callers.
var netRPC = system{name: "netrpc", title: "net/rpc", serve: serveNetRPC, dial: dialNetRPC}

// Bench has the methods in the shape that net/rpc asks for.
type Bench struct{}

// Pair is the arguments of Add.
type Pair struct{ X, Y int }

// Add adds.
func (Bench) Add(p Pair, sum *int) error {
	*sum = p.X + p.Y
	return nil
}

// Echo returns its argument.
func (Bench) Echo(p []byte, back *[]byte) error {
	*back = p
	return nil
}

// Put returns the checksum of its argument.
func (Bench) Put(p []byte, sum *uint32) error {
	*sum = checksum(p)
	return nil
}

func serveNetRPC() (server, error) {
	s := rpc.NewServer()
	if err := s.Register(Bench{}); err != nil {
		return server{}, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the listener is closed
			}
			go s.ServeConn(conn)
		}
	}()
	return server{addr: l.Addr().String(), stop: func() { l.Close() }}, nil
}

type netRPCClient struct{ *rpc.Client }

func dialNetRPC(addr string) (client, error) {
	c, err := rpc.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return netRPCClient{c}, nil
}

func (c netRPCClient) add(x, y int) (sum int, err error) {
	err = c.Call("Bench.Add", Pair{x, y}, &sum)
	return sum, err
}

func (c netRPCClient) echo(p []byte) (back []byte, err error) {
	err = c.Call("Bench.Echo", p, &back)
	return back, err
}

func (c netRPCClient) put(p []byte) (sum uint32, err error) {
	err = c.Call("Bench.Put", p, &sum)
	return sum, err
}

func (c netRPCClient) close() { c.Client.Close() }
