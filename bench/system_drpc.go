package main

import (
	"context"
	"net"

	"google.golang.org/protobuf/proto"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcpool"
	"storj.io/drpc/drpcserver"
	"storj.io/drpc/drpcwire"
)

// drpcSystem is drpc with its pool, without which a connection carries one call at a time: as many connections come
// into being as there are callers.
var drpcSystem = system{name: "drpc", title: "drpc, pool", serve: serveDRPC, dial: dialDRPC}

// pbEncoding is the encoding that protoc-gen-go-drpc would generate.
type pbEncoding struct{}

func (pbEncoding) Marshal(m drpc.Message) ([]byte, error) {
	return proto.Marshal(m.(proto.Message))
}

func (pbEncoding) MarshalAppend(buf []byte, m drpc.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(buf, m.(proto.Message))
}

func (pbEncoding) Unmarshal(buf []byte, m drpc.Message) error {
	return proto.Unmarshal(buf, m.(proto.Message))
}

// pbDescription is the service description that protoc-gen-go-drpc would generate.
type pbDescription struct{}

func (pbDescription) NumMethods() int { return 3 }

func (pbDescription) Method(n int) (string, drpc.Encoding, drpc.Receiver, any, bool) {
	switch n {
	case 0:
		return pbAdd, pbEncoding{}, receiver(pbServer.Add), pbServer.Add, true
	case 1:
		return pbEcho, pbEncoding{}, receiver(pbServer.Echo), pbServer.Echo, true
	case 2:
		return pbPut, pbEncoding{}, receiver(pbServer.Put), pbServer.Put, true
	}
	return "", nil, nil, nil, false
}

// receiver makes a drpc receiver of a method.
func receiver[In, Out any](method func(pbServer, context.Context, In) (Out, error)) drpc.Receiver {
	return func(srv any, ctx context.Context, in, _ any) (drpc.Message, error) {
		return method(srv.(pbServer), ctx, in.(In))
	}
}

// The default of drpc is 4 MiB; the limit costs nothing by itself.
var drpcLimits = drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: pbMaxMessage}}

func serveDRPC() (server, error) {
	mux := drpcmux.New()
	if err := mux.Register(pbServer{}, pbDescription{}); err != nil {
		return server{}, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go drpcserver.NewWithOptions(mux, drpcserver.Options{Manager: drpcLimits}).Serve(ctx, l)
	return server{addr: l.Addr().String(), stop: cancel}, nil
}

func dialDRPC(addr string) (client, error) {
	pool := drpcpool.New[string, drpcpool.Conn](drpcpool.Options{})
	conn := pool.Get(context.Background(), addr, dialOneDRPC)
	invoke := func(method string, in, out any) error {
		return conn.Invoke(context.Background(), method, pbEncoding{}, in, out)
	}
	return pbClient{invoke, pool.Close}, nil
}

func dialOneDRPC(_ context.Context, addr string) (drpcpool.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return drpcconn.NewWithOptions(conn, drpcconn.Options{Manager: drpcLimits}), nil
}
