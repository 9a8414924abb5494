"""The contract of a radio: a station or an access point, one of them at a time, and scans.

Everything is called in the service thread, nothing waits, and nothing raises for what the air or an
access point does. Strings are why something failed: they become the last error.

    scan(ssid)          begin a scan; with a name (bytes, else b""), for that network, which may be
                        hidden. An attempt that is under way is given up, a connection is not
    found()             None while it runs, else a sequence of tuples in any order: (ssid, mac of 6
                        bytes, channel, rssi in dBm, one of network_status.AUTH_..., phy mode)
    scan_problem()      "", or why the last scan came to nothing
    join(network, access_point=None)
                        begin to connect to a remembered Network; `access_point` is (mac, channel)
                        of the only one that is wanted
    outcome()           None while it is under way, "" as long as it is connected and has an
                        address, else why it failed: one of station.REFUSALS if and only if the
                        access point refuses the password or the login
    associated()        True once an access point has taken us, with or without an address
    rejoin()            the link was lost: once more the same access point
    pause()             give the attempt up, but stay ready for a scan and the next attempt
    serve(network)      be this access point; "" or why it failed
    leave()             off the air, whatever was under way
    link(status)        the network's part of a network_status.NetworkStatus: ip, netmask and
                        gateway (u32s), mac, ap_mac, channel, ssid, auth, phy_mode; only while
                        connected or serving
    rssi()              in dBm, of the access point that we are on; network_status.NO_RSSI when it
                        is gone
    clients()           how many stations are on our access point
    power(quarter_db)   transmit power, 0 to 82 in 0.25 dB, from now on
"""
